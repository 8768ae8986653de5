import { placedAt } from "../registers/index";
import type { Capability } from "./capability";

/** Uncorrectable errors that a plain endpoint's advanced error reporting has (PCI Express 4.0, section 7.8.4.2). */
const UNCORRECTABLE = 0x001f_f010;
const CORRECTABLE = 0x0000_f1c1;

/** Advanced error reporting (PCI Express 4.0, section 7.8.4), for an endpoint: no root error registers. */
export function advancedErrorReporting(at: number) {
  return {
    name: "AER",
    id: 0x0001,
    version: 2,
    at,
    bytes: 0x48,
    registers: placedAt(at, {
      AER_UNCORRECTABLE_STATUS: { offset: 0x04, bytes: 4, writeOneToClear: UNCORRECTABLE, sticky: UNCORRECTABLE },
      AER_UNCORRECTABLE_MASK: { offset: 0x08, bytes: 4, readWrite: UNCORRECTABLE, sticky: UNCORRECTABLE },
      AER_UNCORRECTABLE_SEVERITY: {
        offset: 0x0c,
        bytes: 4,
        reset: 0x0006_2010,
        readWrite: UNCORRECTABLE,
        sticky: UNCORRECTABLE,
      },
      AER_CORRECTABLE_STATUS: { offset: 0x10, bytes: 4, writeOneToClear: CORRECTABLE, sticky: CORRECTABLE },
      AER_CORRECTABLE_MASK: { offset: 0x14, bytes: 4, reset: 0x2000, readWrite: CORRECTABLE, sticky: CORRECTABLE },
      AER_CONTROL: { offset: 0x18, bytes: 4 },
      AER_HEADER_LOG: { offset: 0x1c, bytes: 4, repeat: { count: 4 } },
    }),
  } as const satisfies Capability;
}
