import type { PciDevice } from "@vfio-selftests/core";

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

/** QEMU's edu device (docs/specs/edu.rst): 0x60 sets bits of the interrupt status, 0x64 clears them. */
const EDU_INTERRUPT_RAISE = 0x60;
const EDU_INTERRUPT_ACKNOWLEDGE = 0x64;

const SOURCES: readonly KnownSource[] = [
  {
    vendor: 0x1234,
    device: 0x11e8,
    create: (device) => ({
      raise: () => device.bar(0).write32(EDU_INTERRUPT_RAISE, 1),
      acknowledge: () => device.bar(0).write32(EDU_INTERRUPT_ACKNOWLEDGE, 1),
    }),
  },
];

/** How to make this device assert INTx; undefined when that is not known. */
export function intxSourceOf(device: PciDevice): IntxSource | undefined {
  return SOURCES.find(({ vendor, device: id }) => device.matches(vendor, id))?.create(device);
}
