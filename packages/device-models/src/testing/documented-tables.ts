import { readFileSync } from "node:fs";
import { join } from "node:path";
import { offsetsOf, type RegisterMap } from "../registers/index";

/** The tables of a model's page in docs/. */
export class DocumentedTables {
  readonly #sections: readonly string[];

  constructor(page: string) {
    this.#sections = readFileSync(join(__dirname, "../../docs", page), "utf8").split(/^## /m);
  }

  /** Cells of the table rows below a heading, without the table's head. */
  rows(heading: string): string[][] {
    const section = this.#sections.find((part) => part.startsWith(heading)) ?? "";
    const lines = section.split("\n").filter((line) => line.startsWith("|"));
    return lines.slice(2).map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
  }
}

/** `NAME 0xOFFSET BITS` of each register of a map, by place. `base` is where the map lies. */
export function declaredRegisters(map: RegisterMap, base = 0): string[] {
  return Object.entries(map.declarations)
    .map(([name, register]) => ({ name, register, offset: base + (offsetsOf(register)[0] ?? 0) }))
    .sort((a, b) => a.offset - b.offset)
    .map(({ name, register, offset }) => `${name} 0x${offset.toString(16)} ${register.bytes * 8}`);
}
