import { type DefaultTreeAdapterTypes, parse, type ParserError } from "parse5";

type Element = DefaultTreeAdapterTypes.Element;
type Node = DefaultTreeAdapterTypes.Node;

/** A page as a browser's parser understands it (parse5 follows the HTML standard). */
export class ReadPage {
  readonly elements: readonly Element[];
  readonly comments: number;
  readonly errors: readonly ParserError[];

  constructor(page: string) {
    const errors: ParserError[] = [];
    const nodes = [...nodesUnder(parse(page, { onParseError: (error) => errors.push(error) }))];
    this.elements = nodes.filter(isElement);
    this.comments = nodes.filter(({ nodeName }) => nodeName === "#comment").length;
    this.errors = errors;
  }

  /** Elements of this name, and this class where one is given. */
  all(name: string, className?: string): readonly Element[] {
    return this.elements.filter(
      (element) =>
        element.tagName === name &&
        (className === undefined || attribute(element, "class")?.split(" ").includes(className) === true),
    );
  }

  /** Elements of these names below another, in the page's order. */
  inside(element: Element, ...names: readonly string[]): readonly Element[] {
    return [...nodesUnder(element)].filter(isElement).filter(({ tagName }) => names.includes(tagName));
  }

  /** The text of the section with this id, white space as one space. */
  section(id: string): string {
    const found = this.all("section").find((element) => attribute(element, "id") === id);
    return found === undefined ? "" : plainText(found);
  }
}

export function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find((one) => one.name === name)?.value;
}

/** The text as it is. */
export function textOf(node: Node): string {
  return [...nodesUnder(node)].map((one) => ("value" in one ? one.value : "")).join("");
}

/** White space as one space, and none where a word may break. */
export function plainText(node: Node): string {
  return textOf(node).replace(/\s+/g, " ").trim();
}

function* nodesUnder(node: Node): Generator<Node> {
  yield node;
  if ("childNodes" in node) for (const child of node.childNodes) yield* nodesUnder(child);
}

function isElement(node: Node): node is Element {
  return "tagName" in node;
}
