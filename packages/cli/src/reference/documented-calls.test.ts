import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { callsIn, parse } from "./testing/calls";

const ROOT = join(__dirname, "../../../..");

/** Every page for people, but the one that is made of the commands' own table. */
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  ...pagesIn("docs"),
  ...pagesIn("packages"),
  ...pagesIn("examples"),
].filter((page) => page !== "docs/commands.md");

function pagesIn(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !/(^|[/])(node_modules|dist|etc|templates|[.]vitepress)[/]/.test(name))
    .map((name) => `${folder}/${name}`);
}

const CALLS = PAGES.flatMap((page) =>
  [...readFileSync(join(ROOT, page), "utf8").matchAll(/^```(?:sh|console|bash)\n([^]*?)^```$/gm)]
    .flatMap(([, code = ""]) => callsIn(code))
    .map((words) => [page, words.join(" "), words] as const),
);

it("finds the calls of all kinds of pages", () => {
  expect(CALLS.length).toBeGreaterThan(100);
  const found = new Set(CALLS.map(([page]) => page.split("/")[0]));
  expect([...found]).toEqual(expect.arrayContaining(["README.md", "CONTRIBUTING.md", "docs", "packages"]));
});

it.each(CALLS)("%s: %s is a command", async (_, _text, words) => {
  await parse(words);
});

it("npm's page of the command tells how to install it, and packages of ours alone", () => {
  const names = readdirSync(join(ROOT, "packages"));
  const page = readFileSync(join(ROOT, "packages/cli/README.md"), "utf8");
  const installs = [...page.matchAll(/^npm install (.*)$/gm)].flatMap(([, words = ""]) => words.split(" "));
  const packages = installs.filter((word) => word.startsWith("@")).map((word) => word.replace("@vfio-selftests/", ""));
  expect(packages).toEqual(expect.arrayContaining(["cli", "driver-igb", "driver-ioat"]));
  expect(packages.filter((name) => !names.includes(name))).toEqual([]);
});

it("reads a line as a shell does", () => {
  const line = `sudo A=1 vfio-selftests run -t 'a|b; "c"' --output "x y" | tee log # vfio-selftests no\npnpm vfio list &\ncd vfio-selftests`;
  expect(callsIn(line)).toEqual([["run", "-t", "a|b; c", "--output", "x y"], ["list"]]);
});
