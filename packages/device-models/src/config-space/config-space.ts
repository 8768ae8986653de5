import { type RegisterDeclarations, type RegisterMap, registerMap } from "../registers/index";
import type { Capability } from "./capability";
import { barRegisters, type HeaderDeclaration, headerRegisters } from "./header";

/** Bytes of a PCI Express function's config space. */
export const CONFIG_SPACE_BYTES = 0x1000;

type Intersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void ? I : never;

/** The registers of several capabilities as one set. */
type RegistersIn<C extends readonly Capability[]> = Intersection<C[number]["registers"]>;

export interface ConfigSpaceDeclaration<
  C extends readonly Capability[],
  E extends readonly Capability[],
  D extends RegisterDeclarations,
> {
  readonly header: HeaderDeclaration;
  /** In the order of the list. */
  readonly capabilities: C;
  readonly extended: E;
  /** The device's own registers outside any capability. */
  readonly registers: D;
}

/** Builds a function's config space. Throws RangeError when parts overlap or lie where they may not. */
export function configSpace<
  const C extends readonly Capability[],
  const E extends readonly Capability[],
  const D extends RegisterDeclarations,
>(
  name: string,
  { header, capabilities, extended, registers }: ConfigSpaceDeclaration<C, E, D>,
): RegisterMap<ReturnType<typeof headerRegisters> & RegistersIn<C> & RegistersIn<E> & D> {
  checkPlaces(name, capabilities, 0x40, 0x100);
  checkPlaces(name, extended, 0x100, CONFIG_SPACE_BYTES);
  const first = extended[0];
  if (first !== undefined && first.at !== 0x100) {
    throw new RangeError(`config space ${name}: the list of extended capabilities starts at 0x100, not at ${first.at}`);
  }
  const all: RegisterDeclarations = {
    ...headerRegisters(header),
    ...barRegisters(header.bars),
    CAPABILITIES_POINTER: { offset: 0x34, bytes: 1, reset: capabilities[0]?.at ?? 0 },
    ...linked(capabilities, 2, (capability, next) => capability.id | (next << 8)),
    ...linked(extended, 4, ({ id, version }, next) => id | ((version ?? 1) << 16) | (next * 0x10_0000)),
    ...registers,
  };
  // The names and widths are those of the parts. TypeScript cannot follow them through the spread.
  return registerMap(name, CONFIG_SPACE_BYTES, all) as unknown as ReturnType<typeof configSpace<C, E, D>>;
}

/** The capabilities' registers, and for each a header that points to the next. */
function linked(
  capabilities: readonly Capability[],
  headerBytes: 2 | 4,
  header: (capability: Capability, next: number) => number,
): RegisterDeclarations {
  const parts = capabilities.map((capability, i) => ({
    [`${capability.name}_HEADER`]: {
      offset: capability.at,
      bytes: headerBytes,
      reset: header(capability, capabilities[i + 1]?.at ?? 0),
    },
    ...capability.registers,
  }));
  return Object.assign({}, ...parts) as RegisterDeclarations;
}

function checkPlaces(name: string, capabilities: readonly Capability[], start: number, end: number): void {
  const sorted = [...capabilities].sort((a, b) => a.at - b.at);
  sorted.forEach((capability, i) => {
    const { at, bytes } = capability;
    if (at % 4 !== 0 || at < start || at + bytes > end) {
      throw new RangeError(`config space ${name}: ${capability.name} at 0x${at.toString(16)} is not in its area`);
    }
    const next = sorted[i + 1];
    if (next !== undefined && next.at < at + bytes) {
      throw new RangeError(`config space ${name}: ${capability.name} and ${next.name} overlap`);
    }
    for (const [register, { offset }] of Object.entries(capability.registers)) {
      if (offset < at || offset >= at + bytes) {
        throw new RangeError(`config space ${name}: ${register} lies outside ${capability.name}`);
      }
    }
  });
}
