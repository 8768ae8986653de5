import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transformSync } from "@swc/core";

/** Examples in the packages' READMEs that run on any machine. Each prints what its comments say. */
const EXAMPLES: readonly { readonly package: string; readonly example: number; readonly prints: readonly string[] }[] =
  [
    { package: "core", example: 2, prints: ["254,202", "1"] },
    { package: "device-models", example: 0, prints: ["2021", "33"] },
    { package: "device-models", example: 1, prints: ["1"] },
    { package: "device-models", example: 2, prints: ["56781234", "1"] },
    { package: "driver-ioat", example: 0, prints: ["3"] },
    { package: "driver-dsa", example: 0, prints: ["3"] },
    { package: "driver-nv-falcon", example: 0, prints: ["4"] },
  ];

function readme(name: string): string {
  return readFileSync(join(__dirname, "../..", name, "README.md"), "utf8");
}

function codeOf(name: string, example: number): string {
  const blocks = [...readme(name).matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code ?? "");
  const code = blocks[example];
  if (code === undefined) throw new Error(`${name}/README.md has ${blocks.length} examples`);
  return code;
}

/** Runs the files of the harness's README. The report must be the one in there, apart from the times. */
test("harness/README.md, the project", () => {
  const blocks = [...readme("harness").matchAll(/^```(js|)\n(.*?)^```/gms)].map(([, kind, text]) => ({ kind, text }));
  const project = mkdtempSync(join(tmpdir(), "harness-readme-"));
  try {
    for (const { kind, text = "" } of blocks) {
      if (kind === "js") writeFileSync(join(project, /^\/\/ (.*)$/m.exec(text)?.[1] ?? ""), text);
    }
    symlinkSync(join(__dirname, "../node_modules"), join(project, "node_modules"));
    const jest = require.resolve("jest/bin/jest");
    const { stdout } = spawnSync(process.execPath, [jest, "--watchman=false"], {
      cwd: project,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1" },
    });
    // A longer time widens its column, so the spaces before it and before the column's heading vary, too.
    const withoutTimes = (text = "") => text.replace(/ *\d+(?:\.\d+)? m?s\b/g, " N").replace(/ +time\b/g, " time");
    expect(withoutTimes(stdout)).toBe(withoutTimes(blocks.find(({ kind }) => kind === "")?.text));
  } finally {
    rmSync(project, { recursive: true });
  }
});

/** The files of the suites' README: without a device each test is there, and skips. */
test("suites/README.md, the vendor's project", () => {
  const project = mkdtempSync(join(tmpdir(), "suites-readme-"));
  try {
    const files = [...readme("suites").matchAll(/^```js\n(?:\/\/ (\S+)\n[^]*?)^```/gm)];
    expect(files.map(([, name]) => name)).toEqual(["vfio.test.js", "jest.config.js"]);
    for (const [block, name = ""] of files) writeFileSync(join(project, name), block.replace(/^```.*$/gm, ""));
    symlinkSync(join(__dirname, "../node_modules"), join(project, "node_modules"));
    const jest = require.resolve("jest/bin/jest");
    const args = [jest, "--watchman=false", "-t", "vfio_pci_device_test.*reset"];
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("VFIO_SELFTESTS_"));
    const env = { ...Object.fromEntries(inherited), NO_COLOR: "1" };
    const { stdout } = spawnSync(process.execPath, args, { cwd: project, encoding: "utf8", env });
    expect(stdout).toMatch(/^skip vfio_pci_device_test\.reset \(/m);
  } finally {
    rmSync(project, { recursive: true });
  }
}, 240_000);

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
