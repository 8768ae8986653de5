import { declaredRegisters, DocumentedTables } from "../testing/documented-tables";
import { Control, OPERATIONS } from "./channel/descriptor";
import { Chancmd, IOAT_BAR0 } from "./registers/bar0";
import { ChannelError } from "./registers/channel-error";
import { IOAT_CONFIG } from "./registers/config-space";

const tables = new DocumentedTables("ioat.md");
const rows = (heading: string): string[][] => tables.rows(heading);

function values(bits: Readonly<Record<string, number>>): string[] {
  return Object.entries(bits).map(([name, value]) => `${name} 0x${value.toString(16)}`);
}

describe("docs/ioat.md", () => {
  it.each([
    ["BAR0", IOAT_BAR0],
    ["Config space", IOAT_CONFIG],
  ] as const)("lists every register of %s with its place, and nothing else", (heading, map) => {
    expect(rows(heading).map(([name, offset, bits]) => `${name} ${offset} ${bits}`)).toEqual(declaredRegisters(map));
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
