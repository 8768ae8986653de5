import { declaredRegisters, DocumentedTables } from "../testing/documented-tables";
import { CAPABILITIES_BAR0 } from "./capabilities-model";
import { CAPABILITIES_CONFIG } from "./config-space";

const tables = new DocumentedTables("capabilities.md");

describe("docs/capabilities.md", () => {
  it.each([
    ["BAR0", CAPABILITIES_BAR0],
    ["Config space", CAPABILITIES_CONFIG],
  ] as const)("lists every register of %s with its place, and nothing else", (heading, map) => {
    const rows = tables.rows(heading);
    expect(rows.map(([name, offset, bits]) => `${name} ${offset} ${bits}`)).toEqual(declaredRegisters(map));
    for (const row of rows) expect(row.at(-1)).not.toBe("");
  });
});
