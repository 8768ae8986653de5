import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as iommufdNumbers from "./iommufd-numbers";
import * as iommufdStructs from "./iommufd-structs";
import * as liveupdateNumbers from "./liveupdate-numbers";
import * as liveupdateStructs from "./liveupdate-structs";
import type { StructLayout } from "./struct";
import * as vfioIoctls from "./vfio-ioctls";
import * as vfioNumbers from "./vfio-numbers";
import * as vfioStructs from "./vfio-structs";

/**
 * Compares every declared number, size and offset with the kernel's own headers, by a C program made from the
 * declarations. `VFIO_KERNEL_HEADERS` names the include directory of headers other than the system's (the output of the
 * kernel's `make headers_install`).
 */
const HEADERS = [
  { header: "linux/vfio.h", numbers: { ...vfioIoctls, ...vfioNumbers }, structs: vfioStructs },
  { header: "linux/iommufd.h", numbers: iommufdNumbers, structs: iommufdStructs },
  { header: "linux/liveupdate.h", numbers: liveupdateNumbers, structs: liveupdateStructs },
] as const;

const includeDirectory = process.env["VFIO_KERNEL_HEADERS"];
const include = includeDirectory === undefined ? [] : [`-I${includeDirectory}`];
const remedy =
  "set VFIO_KERNEL_HEADERS to the include directory of a newer kernel's headers (`make headers` in its tree, then usr/include)";

function cc(...args: string[]): string {
  return execFileSync("cc", [...include, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** One header's declarations: its text after preprocessing, and the names of its macros. */
function readHeader(header: string): { text: string; macros: Set<string> } | undefined {
  const directory = mkdtempSync(join(tmpdir(), "vfio-headers-"));
  try {
    const file = join(directory, "header.c");
    writeFileSync(file, `#include <${header}>\n`);
    const macros = new Set([...cc("-E", "-dM", file).matchAll(/^#define (\w+)/gm)].map(([, name]) => name ?? ""));
    return { text: cc("-E", "-P", file), macros };
  } catch {
    return undefined;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The text between the braces of `struct NAME { … };`. */
function structBody(text: string, name: string): string | undefined {
  const start = new RegExp(`struct\\s+${name}\\s*\\{`).exec(text);
  if (start === null) return undefined;
  let depth = 1;
  let index = start.index + start[0].length;
  const first = index;
  for (; depth > 0 && index < text.length; index++) {
    if (text[index] === "{") depth++;
    else if (text[index] === "}") depth--;
  }
  return text.slice(first, index - 1);
}

const word = (name: string) => new RegExp(`\\b${name}\\b`);

/** The value of each expression in C. */
function evaluate(header: string, expressions: readonly string[]): Map<string, number> {
  const directory = mkdtempSync(join(tmpdir(), "vfio-headers-"));
  try {
    const source = join(directory, "print.c");
    const program = join(directory, "print");
    const lines = expressions.map((expression) => `  printf("%lld\\n", (long long)(${expression}));`);
    writeFileSync(
      source,
      `#include <stddef.h>\n#include <stdio.h>\n#include <${header}>\nint main(void) {\n${lines.join("\n")}\n  return 0;\n}\n`,
    );
    cc("-o", program, source);
    const values = execFileSync(program, { encoding: "utf8" }).trim().split("\n").map(Number);
    return new Map(expressions.map((expression, index) => [expression, values[index] ?? NaN]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Every declared value as [C expression, value], and what the header lacks. */
function comparable(
  numbers: Readonly<Record<string, number>>,
  structs: object,
  found: NonNullable<ReturnType<typeof readHeader>>,
) {
  const known: [expression: string, value: number][] = [];
  const missing: string[] = [];
  for (const [name, value] of Object.entries(numbers)) {
    if (found.macros.has(name) || word(name).test(found.text)) known.push([name, value]);
    else missing.push(name);
  }
  for (const [name, layout] of Object.entries(structs as Record<string, StructLayout>)) {
    const body = structBody(found.text, name);
    if (body === undefined) {
      missing.push(`struct ${name}`);
      continue;
    }
    const absent = Object.keys(layout.fields).filter((field) => !word(field).test(body));
    missing.push(...absent.map((field) => `${name}.${field}`));
    if (absent.length === 0) known.push([`sizeof(struct ${name})`, layout.size]);
    for (const [field, { offset, width }] of Object.entries(layout.fields)) {
      if (absent.includes(field)) continue;
      known.push([`offsetof(struct ${name}, ${field})`, offset]);
      known.push([`sizeof(((struct ${name} *)0)->${field})`, width]);
    }
  }
  return { known, missing };
}

describe.each(HEADERS)("declarations against $header", ({ header, numbers, structs }) => {
  const found = readHeader(header);
  if (found === undefined) {
    it.skip(`are what the kernel says (skipped: no C compiler, or no ${header} in it; ${remedy}, and install cc)`, () =>
      undefined);
    return;
  }
  const { known, missing } = comparable(numbers, structs, found);

  it(`are what the kernel says (${known.length} values)`, () => {
    const actual = evaluate(
      header,
      known.map(([expression]) => expression),
    );
    expect(Object.fromEntries(known)).toEqual(Object.fromEntries(actual));
  });

  if (missing.length > 0) {
    it.skip(`also for what these headers lack (skipped: ${missing.join(", ")}; ${remedy})`, () => undefined);
  }
});
