import { DmaMemory, type DmaMemoryOptions, type MemoryBacking, VfioError } from "@vfio-selftests/core";
import { skip } from "@vfio-selftests/harness";

const MIB = 1024 ** 2;

/** Memory of huge pages. Skips the test where the machine has not enough of them. */
export function allocateOrSkip(
  length: number,
  backing: MemoryBacking,
  options: DmaMemoryOptions = { backing },
): DmaMemory {
  try {
    return DmaMemory.allocate(length, options);
  } catch (error) {
    if (!(error instanceof VfioError) || !/-(2m|1g)$/.test(backing)) throw error;
    skip({
      reason: error.message.split("\n", 1)[0] ?? error.message,
      remedy: error.remedy ?? `reserve huge pages of ${length / MIB} MiB`,
    });
  }
}
