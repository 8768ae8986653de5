import type { PciDevice } from "@vfio-selftests/core";
import { EDU, EDU_REGISTERS } from "./edu/edu-registers";

/** A device that asserts and releases its INTx line on demand. */
export interface IntxSource {
  raise(): void;
  acknowledge(): void;
}

interface KnownSource {
  readonly vendor: number;
  readonly device: number;
  readonly create: (device: PciDevice) => IntxSource;
}

const SOURCES: readonly KnownSource[] = [
  {
    ...EDU,
    create: (device) => ({
      raise: () => device.bar(0).write32(EDU_REGISTERS.interruptRaise, 1),
      acknowledge: () => device.bar(0).write32(EDU_REGISTERS.interruptAcknowledge, 1),
    }),
  },
];

/** How to make this device assert INTx; undefined when that is not known. */
export function intxSourceOf(device: PciDevice): IntxSource | undefined {
  return SOURCES.find(({ vendor, device: id }) => device.matches(vendor, id))?.create(device);
}
