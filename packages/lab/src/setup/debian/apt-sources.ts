import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type LabHost, systemPath } from "../../host/host";

/** One archive of the system's apt configuration: a line of `sources.list`, or a stanza of a `.sources` file. */
export interface AptSource {
  uris: string[];
  suites: string[];
  components: string[];
  /** Other fields by their deb822 name (`Signed-By`, `Trusted`, …), as written. */
  options: Record<string, string>;
}

/** Parses the one-line format of `sources.list(5)`. Comments, `deb-src` and unintelligible lines give nothing. */
export function parseOneLineSources(text: string): AptSource[] {
  return text.split("\n").flatMap((raw) => {
    const line = raw.replace(/#.*/, "").trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)$/.exec(line);
    if (match === null) return [];
    const [, bracket = "", uri = "", suite = "", components = ""] = match;
    const options: Record<string, string> = {};
    for (const [, name = "", value = ""] of bracket.matchAll(/([\w-]+)\+?=(\S+)/g)) {
      options[ONE_LINE_NAMES[name.toLowerCase()] ?? fieldName(name)] = value.replaceAll(",", " ");
    }
    return [{ uris: [uri], suites: [suite], components: words(components), options }];
  });
}

/** One-line options that have another name as a deb822 field (`sources.list(5)`). */
const ONE_LINE_NAMES: Readonly<Record<string, string>> = {
  arch: "Architectures",
  lang: "Languages",
  target: "Targets",
};

/** Parses the deb822 format of `.sources` files. Disabled and source-only stanzas give nothing. */
export function parseDeb822Sources(text: string): AptSource[] {
  return text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .split(/\n[ \t]*\n/)
    .flatMap((stanza) => {
      const fields = parseStanza(stanza);
      const take = (name: string): string[] => {
        const value = words(fields.get(name) ?? "");
        fields.delete(name);
        return value;
      };
      const [types, uris, suites, components] = [take("Types"), take("URIs"), take("Suites"), take("Components")];
      const [enabled = "yes"] = take("Enabled");
      if (!types.includes("deb") || uris.length === 0 || suites.length === 0) return [];
      if (/^(no|false|0|off|without|disable)$/i.test(enabled)) return [];
      return [{ uris, suites, components, options: Object.fromEntries(fields) }];
    });
}

const DEB822_SPELLING: Readonly<Record<string, string>> = { uris: "URIs" };

/** `signed-by` gives `Signed-By`. Field names are case-insensitive. */
function fieldName(name: string): string {
  const lower = name.toLowerCase();
  return DEB822_SPELLING[lower] ?? lower.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

function parseStanza(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last = "";
  for (const line of stanza.split("\n")) {
    const field = /^([A-Za-z][\w-]*):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (field !== null) {
      last = fieldName(field[1] ?? "");
      fields.set(last, field[2] ?? "");
    } else if (/^[ \t]/.test(line) && last !== "") {
      // This is a continuation. An inlined key (`Signed-By:`) needs its line breaks.
      fields.set(last, `${fields.get(last) ?? ""}\n${line.trimEnd()}`);
    }
  }
  return fields;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** All archives of `/etc/apt`. It leaves out files that it cannot read. */
export function readAptSources(host: LabHost): AptSource[] {
  const folder = systemPath(host, "/etc/apt/sources.list.d");
  const oneLine = [systemPath(host, "/etc/apt/sources.list")];
  const deb822: string[] = [];
  for (const name of listFolder(folder)) {
    if (name.endsWith(".list")) oneLine.push(join(folder, name));
    if (name.endsWith(".sources")) deb822.push(join(folder, name));
  }
  return [
    ...oneLine.flatMap((path) => parseOneLineSources(readText(path))),
    ...deb822.flatMap((path) => parseDeb822Sources(readText(path))),
  ];
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
