import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Opcode } from "../testing/opcodes";
import { OPERATIONS } from "./operations/table";
import { dsaRegisterMap } from "./registers/bar0";
import { Command } from "./registers/capabilities";
import { dsaConfigSpace } from "./registers/config-space";

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

  it("lists every operation of the architecture, and as modelled those that are", () => {
    const rows = table("Operations");
    expect(rows.map(([, code]) => Number(code))).toEqual(Object.values(Opcode));
    const modelled = rows.filter(([, , how]) => how === "yes").map(([name, code]) => [name, Number(code)]);
    const declared = OPERATIONS.map(({ name, code }) => [name, code] as const).sort((a, b) => a[1] - b[1]);
    expect(modelled).toEqual(declared);
    expect(rows.filter(([, , how]) => how === "no")).toHaveLength(rows.length - declared.length);
  });

  it("lists every command", () => {
    const rows = table("Administrative commands").map(([name, code]) => [name, Number(code)]);
    expect(rows).toEqual(Object.entries(Command));
  });
});
