import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../commands";
import { optionNames } from "../options/option";
import { manPage } from "./man-page";

const PACKAGE = join(__dirname, "../..");
const FILE = join(PACKAGE, "man/vfio-selftests.1");
const page = manPage();

test("man/vfio-selftests.1 matches the tables; `pnpm commands-page` writes it", async () => {
  expect(readFileSync(FILE, "utf8")).toBe(await page);
});

test("the package ships the page, and npm install -g puts it where man finds it", () => {
  const manifest = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as { man: string; files: string[] };
  expect(join(PACKAGE, manifest.man)).toBe(FILE);
  expect(manifest.files).toContain("man");
});

test("every line is text or a request of man(7), and none begins with a control character by mistake", async () => {
  for (const line of (await page).trimEnd().split("\n")) {
    expect(line).toMatch(/^(\.\\" .*|\.(TH|SH|SS|B) .+|\.(TP|PP|nh|ad l)|\.IP \\\(bu 2|(?![.'])[\x20-\x7e]+)$/);
  }
});

test.each(COMMANDS.map(({ name }) => name))("the page has %s and its options", async (name) => {
  const escaped = (text: string): string => text.replaceAll("-", "\\-");
  const section = (await page).split(/^\.S[SH] /m).find((part) => {
    const [head = ""] = part.split("\n");
    return `${head} `.startsWith(`vfio\\-selftests ${escaped(name)} `) && !isOther(head, name);
  });
  const command = await COMMANDS.find((entry) => entry.name === name)?.load();
  const names = Object.values(command?.options ?? {}).flatMap((spec) => optionNames(spec));
  expect(section).toBeDefined();
  for (const option of names) expect(section).toContain(`\\fB${escaped(option)}\\fR`);
});

/** `report` is a command, and the beginning of another. */
function isOther(head: string, name: string): boolean {
  return COMMANDS.some((entry) => entry.name.startsWith(`${name} `) && head.includes(` ${entry.name}`));
}

const groff = spawnSync("groff", ["--version"], { stdio: "ignore" }).error === undefined;
const title = "groff sets the page without a warning";
(groff ? test : test.skip)(groff ? title : `${title} (skipped: there is no groff; install it)`, () => {
  const { stdout, stderr } = spawnSync("groff", ["-man", "-Tascii", "-P-c", "-ww", "-rLL=100n", FILE], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  // Bold and italics are overstruck.
  const text = stdout.replace(/.\x08/g, "");
  for (const { name } of COMMANDS) expect(text).toContain(`vfio-selftests ${name}`);
  expect(text).toMatch(/^ +-d, --device <device\.\.\.>$/m);
  expect(text).not.toMatch(/\\f|`/);
});
