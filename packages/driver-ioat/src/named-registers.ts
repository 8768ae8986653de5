import type { NamedRegisters } from "@vfio-selftests/core/driver";
import { Reg } from "./registers";

/** The registers of the first channel, for people. */
export const NAMED_REGISTERS: readonly NamedRegisters[] = [
  {
    bar: 0,
    registers: {
      XFERCAP: { offset: Reg.XFERCAP, bytes: 1 },
      INTRCTRL: { offset: Reg.INTRCTRL, bytes: 1 },
      CBVER: { offset: Reg.CBVER, bytes: 1 },
      CHANCTRL: { offset: Reg.CHANCTRL, bytes: 2 },
      CHANCMD: { offset: Reg.CHANCMD, bytes: 1 },
      DMACOUNT: { offset: Reg.DMACOUNT, bytes: 2 },
      CHANSTS: { offset: Reg.CHANSTS, bytes: 8 },
      CHAINADDR: { offset: Reg.CHAINADDR, bytes: 8 },
      CHANCMP: { offset: Reg.CHANCMP, bytes: 8 },
      CHANERR: { offset: Reg.CHANERR, bytes: 4 },
    },
  },
];
