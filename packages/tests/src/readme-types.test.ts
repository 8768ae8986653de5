import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { notInLab } from "./not-in-lab";

const ROOT = join(__dirname, "../../..");
/**
 * The folder is below node_modules: there the examples find the packages as a user's project does, and git ignores
 * them.
 */
const WORKSHOP = join(__dirname, "../node_modules/.readme-examples");

/** Every TypeScript block of every README, by name. */
function readExamples(): Map<string, string> {
  const packages = readdirSync(join(ROOT, "packages")).map((name) => join(ROOT, "packages", name, "README.md"));
  const examples = new Map<string, string>();
  for (const readme of [join(ROOT, "README.md"), ...packages].filter(existsSync)) {
    for (const [index, match] of [...readFileSync(readme, "utf8").matchAll(/^```ts\n([^]*?)^```$/gm)].entries()) {
      examples.set(`${relative(ROOT, readme)} #${index + 1}`, match[1] ?? "");
    }
  }
  return examples;
}

/**
 * Puts an example into a function, so that it may await, but not its imports. An example that exports is a module
 * already.
 */
function asModule(code: string): string {
  if (/^export /m.test(code)) return code;
  const imports = /^import [^;]*;.*$/gm;
  const found = code.match(imports) ?? [];
  return `${found.join("\n")}\nexport async function example(): Promise<void> {\n${code.replace(imports, "")}\n}\n`;
}

function compile(examples: ReadonlyMap<string, string>): string {
  rmSync(WORKSHOP, { recursive: true, force: true });
  mkdirSync(WORKSHOP, { recursive: true });
  const files = [...examples].map(([name, code]) => {
    const file = join(WORKSHOP, `${name.replace(/[^A-Za-z0-9]+/g, "-")}.ts`);
    writeFileSync(file, asModule(code));
    return file;
  });
  const project = join(WORKSHOP, "tsconfig.json");
  const types = { types: ["node", "jest"], typeRoots: [join(ROOT, "node_modules/@types")] };
  writeFileSync(
    project,
    JSON.stringify({
      extends: join(ROOT, "tsconfig.base.json"),
      compilerOptions: { ...types, noEmit: true },
      files,
    }),
  );
  const compiler = join(dirname(require.resolve("@typescript/native/package.json")), "bin/tsc");
  try {
    execFileSync(process.execPath, [compiler, "-p", project], { encoding: "utf8", stdio: "pipe" });
    return "";
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

describe("readme_examples", () => {
  notInLab();

  it("fit_the_interfaces_they_use", () => {
    const examples = readExamples();
    expect(examples.size).toBeGreaterThan(5);
    expect(compile(examples)).toBe("");
  }, 240_000);
});
