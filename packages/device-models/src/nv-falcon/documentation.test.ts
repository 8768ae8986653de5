import { declaredRegisters, DocumentedTables } from "../testing/documented-tables";
import { GENERATIONS } from "./generations";
import { bar0Of, Dmatrfcmd } from "./registers/bar0";
import { configOf } from "./registers/config-space";

const tables = new DocumentedTables("nv-falcon.md");
const listed = (heading: string): string[] =>
  tables.rows(heading).map(([name, ...place]) => [name, ...place.slice(0, 2)].join(" "));
const generation = (wanted: string) => GENERATIONS.find(({ name }) => name === wanted) as (typeof GENERATIONS)[number];
const hex = (value: number): string => `0x${value.toString(16)}`;

describe("docs/nv-falcon.md", () => {
  it("lists every register outside the falcon with its place, and nothing else", () => {
    const { falcon: _, ...others } = bar0Of(generation("turing"));
    const declared = Object.values(others)
      .sort((a, b) => a.at - b.at)
      .flatMap(({ at, map }) => declaredRegisters(map, at));
    expect(listed("Registers of the GPU")).toEqual(declared);
  });

  it("lists every register of the falcon, from its base on, and FBIF's from theirs", () => {
    // Where FBIF lies does not matter: its registers stand in a table of their own.
    const declared = declaredRegisters(bar0Of(generation("turing")).falcon.map);
    const isFbif = (register: string): boolean => register.startsWith("FBIF");
    expect(listed("Registers of the falcon")).toEqual(declared.filter((register) => !isFbif(register)));
    const fromFbif = declared.filter(isFbif).map((register) => {
      const [name, offset, bits] = register.split(" ");
      return `${name} ${hex(Number(offset) - 0x600)} ${bits}`;
    });
    expect(listed("Registers of FBIF")).toEqual(fromFbif);
  });

  it("lists config space, commands' bits and generations", () => {
    expect(listed("Config space")).toEqual(declaredRegisters(configOf(generation("turing"))));
    expect(tables.rows("Bits of DMATRFCMD").map(([name, bits]) => `${name} ${bits}`)).toEqual(
      Object.entries(Dmatrfcmd).map(([name, bits]) => `${name} ${hex(bits)}`),
    );
    const rows = GENERATIONS.map(({ name, device, boot0, falcon, fbif }) =>
      [name, `10de:${device.toString(16).padStart(4, "0")}`, hex(boot0), hex(falcon), hex(fbif)].join(" "),
    );
    const documented = tables
      .rows("Generations")
      .map(([name, , id, boot0, falcon, fbif]) => [name, id, boot0, falcon, fbif].join(" "));
    expect(documented).toEqual(rows);
  });

  it("says of each register what the model has of it", () => {
    for (const heading of ["Registers of the GPU", "Registers of the falcon", "Registers of FBIF", "Config space"]) {
      for (const row of tables.rows(heading)) expect(row[3]).not.toBe("");
    }
  });
});
