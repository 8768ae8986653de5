import type { IommuMode, PciDevice } from "@vfio-selftests/core";
import { skip } from "@vfio-selftests/harness";
import { openForBlock } from "../device/open-device";
import { PhysicalConfig } from "./physical-config";

/** One device for the tests of its capabilities, seen by vfio-pci and past it. */
export interface CapabilityRig {
  readonly address: string;
  readonly device: () => PciDevice;
  /** The capability's offset. Skips the test where the device has none. */
  readonly place: (id: number, extended?: boolean) => number;
  readonly withPhysical: (use: (physical: PhysicalConfig) => void) => void;
}

/** For the tests of the enclosing block. */
export function openCapabilityRig(mode: IommuMode, address: string): CapabilityRig {
  const device = openForBlock(mode, address);
  return {
    address,
    device,
    place(id, extended = false) {
      const { config } = device();
      const capability = extended ? config.findExtendedCapability(id) : config.findCapability(id);
      if (capability !== undefined) return capability.offset;
      skip({
        reason: `the device has no capability 0x${id.toString(16)}`,
        remedy: "use QEMU's igb: vfio-selftests lab run",
      });
    },
    withPhysical(use) {
      using physical = new PhysicalConfig(address);
      use(physical);
    },
  };
}
