import { transformSync } from "@swc/core";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Examples in the packages' READMEs that run anywhere: each prints what its comments say. */
const EXAMPLES: readonly { readonly package: string; readonly example: number; readonly prints: readonly string[] }[] =
  [
    { package: "core", example: 2, prints: ["254,202", "1"] },
    { package: "device-models", example: 0, prints: ["2021", "33"] },
    { package: "device-models", example: 1, prints: ["1"] },
    { package: "driver-ioat", example: 0, prints: ["3"] },
    { package: "driver-dsa", example: 0, prints: ["3"] },
  ];

function codeOf(name: string, example: number): string {
  const text = readFileSync(join(__dirname, "../..", name, "README.md"), "utf8");
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code ?? "");
  const code = blocks[example];
  if (code === undefined) throw new Error(`${name}/README.md has ${blocks.length} examples`);
  return code;
}

test.each(EXAMPLES)("$package/README.md, example $example", ({ package: name, example, prints }) => {
  const { code } = transformSync(codeOf(name, example), {
    jsc: { parser: { syntax: "typescript" }, target: "es2022" },
    module: { type: "commonjs" },
  });
  const printed: string[] = [];
  const console = { log: (...values: unknown[]) => printed.push(values.join(" ")) };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is our own README's
  const run = new Function("require", "exports", "console", code) as (...context: unknown[]) => void;
  run(require, {}, console);
  expect(printed).toEqual(prints);
});
