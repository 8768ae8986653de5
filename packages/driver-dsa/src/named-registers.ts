import type { NamedRegisters } from "@vfio-selftests/core/driver";
import { Reg, REGISTERS_BAR } from "./registers";

/** The device's registers, for people; chapter 9 of the specification. */
export const NAMED_REGISTERS: readonly NamedRegisters[] = [
  {
    bar: REGISTERS_BAR,
    registers: {
      VERSION: { offset: Reg.VERSION, bytes: 4 },
      GENCAP: { offset: Reg.GENCAP, bytes: 8 },
      WQCAP: { offset: Reg.WQCAP, bytes: 8 },
      GRPCAP: { offset: Reg.GRPCAP, bytes: 8 },
      ENGCAP: { offset: Reg.ENGCAP, bytes: 8 },
      OPCAP: { offset: Reg.OPCAP, bytes: 8 },
      OFFSETS: { offset: Reg.OFFSETS, bytes: 8 },
      GENSTS: { offset: Reg.GENSTS, bytes: 4 },
      CMD: { offset: Reg.CMD, bytes: 4 },
      CMDSTATUS: { offset: Reg.CMDSTATUS, bytes: 4 },
      CMDCAP: { offset: Reg.CMDCAP, bytes: 4 },
      SWERROR: { offset: Reg.SWERROR, bytes: 8 },
    },
  },
];
