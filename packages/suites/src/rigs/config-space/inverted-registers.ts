import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";
import type { PhysicalConfig } from "./physical-config";

/** Registers with the other value of each bit: what is written to them, and what the device itself makes of that. */
export interface InvertedRegisters {
  readonly before: Buffer;
  readonly inverted: Buffer;
  /** After the write of `inverted` past vfio-pci. */
  readonly taken: Buffer;
}

/**
 * Hands these registers to `use`, and writes them back afterwards. Skips the test outside the lab, because it writes
 * registers of which it knows nothing.
 */
export function withInverted(
  target: SuiteTarget,
  physical: PhysicalConfig,
  offset: number,
  length: number,
  use: (registers: InvertedRegisters) => void,
): void {
  if (target.kind !== "lab") {
    skip({ reason: "the test writes what it does not know", remedy: "run it in the lab: vfio-selftests lab run" });
  }
  const before = physical.bytes(offset, length);
  const inverted = Buffer.from(before.map((byte) => ~byte));
  try {
    physical.write(offset, inverted);
    const taken = physical.bytes(offset, length);
    physical.write(offset, before);
    use({ before, inverted, taken });
  } finally {
    physical.write(offset, before);
  }
}
