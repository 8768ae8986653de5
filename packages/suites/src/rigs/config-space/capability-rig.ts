import type { IommuMode, PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId, PciExtendedCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";
import { openForBlock } from "../device/open-device";
import { PhysicalConfig } from "./physical-config";

/** Capabilities of QEMU's igb. */
const IGB = {
  standard: [PciCapabilityId.powerManagement, PciCapabilityId.msi, PciCapabilityId.pciExpress, PciCapabilityId.msix],
  extended: [
    PciExtendedCapabilityId.advancedErrorReporting,
    PciExtendedCapabilityId.alternativeRoutingId,
    PciExtendedCapabilityId.singleRootIov,
  ],
} satisfies Record<string, readonly number[]>;

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
      const ofIgb: readonly number[] = extended ? IGB.extended : IGB.standard;
      skip({
        reason: `the device has no ${extended ? "extended " : ""}capability 0x${id.toString(16)}`,
        remedy: ofIgb.includes(id)
          ? "use QEMU's igb: vfio-selftests lab run"
          : "use the model that has it: vfio-selftests lab run -d model:capabilities",
      });
    },
    withPhysical(use) {
      using physical = new PhysicalConfig(address);
      use(physical);
    },
  };
}
