import { readFileSync } from "node:fs";
import { join } from "node:path";
import { offsetsOf, type RegisterMap } from "../registers/index";
import { Control, OPERATIONS } from "./channel/descriptor";
import { Chancmd, IOAT_BAR0 } from "./registers/bar0";
import { ChannelError } from "./registers/channel-error";
import { IOAT_CONFIG } from "./registers/config-space";

const text = readFileSync(join(__dirname, "../../docs/ioat.md"), "utf8");

/** Cells of the table rows below a heading, without the table's head. */
function rows(heading: string): string[][] {
  const section = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

function declared(map: RegisterMap): string[] {
  return Object.entries(map.declarations)
    .map(([name, register]) => ({ name, register, offset: offsetsOf(register)[0] ?? 0 }))
    .sort((a, b) => a.offset - b.offset)
    .map(({ name, register, offset }) => `${name} 0x${offset.toString(16)} ${register.bytes * 8}`);
}

function values(bits: Readonly<Record<string, number>>): string[] {
  return Object.entries(bits).map(([name, value]) => `${name} 0x${value.toString(16)}`);
}

describe("docs/ioat.md", () => {
  it.each([
    ["BAR0", IOAT_BAR0],
    ["Config space", IOAT_CONFIG],
  ] as const)("lists every register of %s with its place, and nothing else", (heading, map) => {
    expect(rows(heading).map(([name, offset, bits]) => `${name} ${offset} ${bits}`)).toEqual(declared(map));
  });

  it("lists every command, control bit and error", () => {
    const listed = (heading: string): string[] => rows(heading).map(([name, value]) => `${name} ${value}`);
    expect(listed("Commands")).toEqual(values(Chancmd));
    expect(listed("Control bits")).toEqual(values(Control));
    expect(listed("Errors")).toEqual(values(ChannelError));
  });

  it("lists as modelled the operations that are", () => {
    const modelled = rows("Operations").filter(([, , how]) => how?.startsWith("yes"));
    expect(modelled.map(([, code]) => Number(code))).toEqual(OPERATIONS.map(({ operation }) => operation));
  });

  it("says for each whether it is modelled, or why not", () => {
    for (const heading of ["BAR0", "Config space", "Operations", "Control bits", "Commands", "Errors"]) {
      for (const row of rows(heading)) expect(row.at(-1)).not.toBe("");
    }
  });
});
