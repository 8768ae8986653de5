import { declaredRegisters, DocumentedTables } from "../testing/documented-tables";
import { CAPABILITIES_BAR0, CAPABILITIES_BAR2 } from "./capabilities-model";
import { CAPABILITIES_CONFIG, PCIX_CONFIGS } from "./config-space";

const tables = new DocumentedTables("capabilities.md");

describe("docs/capabilities.md", () => {
  it.each([
    ["BAR0", CAPABILITIES_BAR0],
    ["BAR2", CAPABILITIES_BAR2],
    ["Config space", CAPABILITIES_CONFIG],
  ] as const)("lists every register of %s with its place, and nothing else", (heading, map) => {
    const rows = tables.rows(heading);
    expect(rows.map(([name, offset, bits]) => `${name} ${offset} ${bits}`)).toEqual(declaredRegisters(map));
    for (const row of rows) expect(row.at(-1)).not.toBe("");
  });

  it.each([PCIX_CONFIGS[1], PCIX_CONFIGS[2]])("lists what the other versions of PCI-X have instead", (map) => {
    const usual = declaredRegisters(CAPABILITIES_CONFIG);
    const other = declaredRegisters(map).filter((register) => !usual.includes(register));
    expect(tables.rows("PCI-X").map(([name, offset, bits]) => `${name} ${offset} ${bits}`)).toEqual(other);
  });
});
