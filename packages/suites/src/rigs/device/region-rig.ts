import type { IommuMode, PciDevice } from "@vfio-selftests/core";
import { scratchRegistersOf } from "../../devices/scratch-registers";
import { RawDevice } from "../raw/raw-device";
import { openForBlock } from "./open-device";

/** What {@link RegionRig.withPattern} writes. */
export const PATTERN = [0x1234_5678, 0x9abc_def0, 0x0fed_cba9, 0x8765_4321] as const;

/** A device for tests of its regions. */
export interface RegionRig {
  readonly device: () => PciDevice;
  readonly raw: () => RawDevice;
  /** Four scratch registers that hold the pattern while `use` runs. */
  readonly withPattern: (use: (scratch: { bar: number; offset: number }) => void) => void;
}

/** Opens the device for the block's tests. */
export function regionRig(mode: IommuMode, address: string): RegionRig {
  const device = openForBlock(mode, address);
  return {
    device,
    raw: () => new RawDevice(device()),
    withPattern(use) {
      const scratch = scratchRegistersOf(device());
      const write = (values: readonly number[]) => {
        values.forEach((value, number) => {
          device()
            .bar(scratch.bar)
            .write32(scratch.offset + 4 * number, value);
        });
      };
      write(PATTERN);
      try {
        use(scratch);
      } finally {
        write([0, 0, 0, 0]);
      }
    },
  };
}
