import type { NamedRegister, NamedRegisters } from "@vfio-selftests/core/driver";
import { FALCON_PLACES } from "./generations";
import { FalconReg, FbifReg, Reg } from "./registers";

/** The registers for people: the GPU's, and those of each falcon that some generation uses. */
export const NAMED_REGISTERS: readonly NamedRegisters[] = [
  {
    bar: 0,
    registers: Object.fromEntries([
      ...named("", 0, Reg),
      ...FALCON_PLACES.flatMap(({ name, fbifName, base, fbif }) => [
        ...named(`${name}_`, base, FalconReg),
        ...named(`${fbifName}_`, base + fbif, FbifReg),
      ]),
    ]),
  },
];

function named(prefix: string, base: number, offsets: Readonly<Record<string, number>>): [string, NamedRegister][] {
  return Object.entries(offsets).map(([name, offset]) => [`${prefix}${name}`, { offset: base + offset, bytes: 4 }]);
}
