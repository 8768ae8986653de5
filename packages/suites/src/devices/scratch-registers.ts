import type { PciDevice } from "@vfio-selftests/core";
import { skip } from "@vfio-selftests/harness";

/** Registers of 32 bits that keep what software writes, do nothing meanwhile, and that a reset clears. */
export interface ScratchRegisters {
  readonly bar: number;
  /** Offset of the first register in the BAR, in bytes; the others follow it. */
  readonly offset: number;
  readonly count: number;
}

const KNOWN = [
  // 82576 datasheet, 8.10.15: the multicast table array, which matters only while packets are received.
  { vendor: 0x8086, device: 0x10c9, registers: { bar: 0, offset: 0x5200, count: 128 } },
  // model:capabilities.
  { vendor: 0x1234, device: 0xcab5, registers: { bar: 0, offset: 0, count: 16 } },
] as const;

/** The device's scratch registers. It skips the test when none are known. */
export function scratchRegistersOf(device: PciDevice): ScratchRegisters {
  const known = KNOWN.find(({ vendor, device: id }) => device.matches(vendor, id));
  if (known !== undefined) return known.registers;
  skip({
    reason: `no registers of ${device.address} are known that keep what is written`,
    remedy: "use a device with known ones: vfio-selftests lab run --device igb",
  });
}
