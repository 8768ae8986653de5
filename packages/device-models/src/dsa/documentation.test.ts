import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "./capabilities";
import { dsaConfigSpace } from "./config-space";
import { OPERATIONS } from "./operations";
import { dsaRegisterMap } from "./registers";

/** Rows of the first table under a heading: cells without their padding. */
function table(heading: string): string[][] {
  const text = readFileSync(join(__dirname, "../../docs/dsa.md"), "utf8");
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/dsa.md has no section ${heading}`);
  const lines = section.split("\n");
  const start = lines.findIndex((line) => /^\| ?---/.test(line));
  const rows = lines.slice(start + 1);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end < 0 ? rows.length : end).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe("docs/dsa.md", () => {
  it("lists every register of BAR0, in order", () => {
    const rows = table("Registers of BAR0");
    expect(rows.map(([name]) => name)).toEqual(Object.keys(dsaRegisterMap({}).declarations));
    for (const [, modelled] of rows) expect(["yes", "partly", "no"]).toContain(modelled);
  });

  it("lists every register of config space", () => {
    const listed = table("Config space").flatMap(([names]) => (names as string).split(", "));
    const declared = Object.keys(dsaConfigSpace({ ats: true, pasid: true }).declarations);
    expect([...listed].sort()).toEqual([...declared].sort());
  });

  it("lists every operation, and whether it is modelled", () => {
    const rows = table("Operations").map(([name, code, modelled]) => [name, Number(code), modelled]);
    const declared = OPERATIONS.map(({ name, code, modelled }) => [name, code, modelled ? "yes" : "no"]);
    const byCode = (a: unknown[], b: unknown[]) => Number(a[1]) - Number(b[1]);
    expect(rows).toEqual([...declared].sort(byCode));
  });

  it("lists every command", () => {
    const rows = table("Administrative commands").map(([name, code]) => [name, Number(code)]);
    expect(rows).toEqual(Object.entries(Command));
  });
});
