import type { NamedRegisters } from "@vfio-selftests/core/driver";
import { Reg } from "./registers";

const all = Object.entries(Reg).map(([name, offset]) => [name, { offset, bytes: 4 }] as const);

/** The registers of the physical function, for people. */
export const NAMED_REGISTERS: readonly NamedRegisters[] = [{ bar: 0, registers: Object.fromEntries(all) }];
