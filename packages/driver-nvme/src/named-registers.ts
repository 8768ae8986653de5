import type { NamedRegisters } from "@vfio-selftests/core/driver";
import { DOORBELLS, Reg } from "./registers";

/** The controller's registers, for people, and the admin queues' doorbells where CAP.DSTRD is 0. */
export const NAMED_REGISTERS: readonly NamedRegisters[] = [
  {
    bar: 0,
    registers: {
      CAP: { offset: Reg.CAP, bytes: 8 },
      VS: { offset: Reg.VS, bytes: 4 },
      CC: { offset: Reg.CC, bytes: 4 },
      CSTS: { offset: Reg.CSTS, bytes: 4 },
      AQA: { offset: Reg.AQA, bytes: 4 },
      ASQ: { offset: Reg.ASQ, bytes: 8 },
      ACQ: { offset: Reg.ACQ, bytes: 8 },
      SQ0TDBL: { offset: DOORBELLS, bytes: 4 },
      CQ0HDBL: { offset: DOORBELLS + 4, bytes: 4 },
    },
  },
];
