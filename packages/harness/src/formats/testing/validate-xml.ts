import type { Rules } from "./junit-rules";

interface OpenElement {
  readonly name: string;
  children: string;
  text: string;
}

const TOKEN = /<!--(?:(?!--)[^])*-->|<(?<close>\/?)(?<name>[\w-]+)(?<attributes>[^<>]*?)(?<empty>\/?)>|(?<text>[^<]+)/y;
const ATTRIBUTE = /\s+(?<name>[\w-]+)="(?<value>[^"<]*)"/y;
const REFERENCES = /&(?:amp|lt|gt|quot);/g;
/** Characters that XML 1.0 does not have. */
const NO_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** What is wrong with an XML document by the rules: none if nothing. It knows the XML that reports need, and no more. */
export function validateXml(document: string, rules: Rules): string[] {
  const wrong: string[] = [];
  const body = document.replace(/^<\?xml version="1.0" encoding="UTF-8"\?>\n/, "");
  if (body === document) wrong.push("the XML declaration is missing");
  if (NO_CHARACTER.test(document)) wrong.push("a character that XML does not have");
  const root: OpenElement = { name: "", children: "", text: "" };
  const open: OpenElement[] = [root];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < body.length) {
    const at = TOKEN.lastIndex;
    const groups = TOKEN.exec(body)?.groups;
    if (groups === undefined) return [...wrong, `no XML: ${body.slice(at, at + 60)}`];
    const { close, name, attributes = "", empty, text } = groups;
    const parent = open.at(-1) ?? root;
    if (text !== undefined) parent.text += text;
    if (name === undefined) continue;
    if (close === "/") {
      if (parent.name !== name) return [...wrong, `</${name}> ends <${parent.name}>`];
      open.pop();
      wrong.push(...checkContent(parent, rules));
      continue;
    }
    parent.children += `${name} `;
    wrong.push(...checkAttributes(name, attributes, rules));
    const element = { name, children: "", text: "" };
    if (empty === "/") wrong.push(...checkContent(element, rules));
    else open.push(element);
  }
  if (open.length > 1) wrong.push(`<${open.at(-1)?.name ?? ""}> does not end`);
  if (root.children !== "testsuites ") wrong.push(`the root is ${root.children}`);
  return wrong;
}

function checkContent({ name, children, text }: OpenElement, rules: Rules): string[] {
  const rule = rules[name];
  if (rule === undefined) return [`<${name}> is not known`];
  const wrong: string[] = [];
  if (!rule.children.test(children)) wrong.push(`<${name}> holds ${children}`);
  if (!rule.text && text.trim() !== "") wrong.push(`<${name}> holds text: ${text.trim()}`);
  if (text.replace(REFERENCES, "").includes("&")) wrong.push(`<${name}> holds a bare &`);
  return wrong;
}

function checkAttributes(name: string, attributes: string, rules: Rules): string[] {
  const rule = rules[name];
  if (rule === undefined) return [];
  const wrong: string[] = [];
  const given = new Set<string>();
  ATTRIBUTE.lastIndex = 0;
  while (ATTRIBUTE.lastIndex < attributes.trimEnd().length) {
    const { name: key = "", value = "" } = ATTRIBUTE.exec(attributes)?.groups ?? {};
    if (key === "") return [...wrong, `<${name}> has no attributes: ${attributes}`];
    if (given.has(key)) wrong.push(`<${name}> has two ${key}`);
    if (![...rule.required, ...rule.optional].includes(key)) wrong.push(`<${name}> may have no ${key}`);
    if (rule.values?.[key]?.test(value) === false) wrong.push(`<${name} ${key}="${value}">`);
    if (value.replace(REFERENCES, "").includes("&")) wrong.push(`<${name} ${key}> holds a bare &`);
    given.add(key);
  }
  return [...wrong, ...rule.required.filter((key) => !given.has(key)).map((key) => `<${name}> lacks ${key}`)];
}
