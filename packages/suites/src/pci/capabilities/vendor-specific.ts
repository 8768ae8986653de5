import { PciCapabilityId, PciExtendedCapabilityId } from "@vfio-selftests/core/pci";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";
import { withInverted } from "../../rigs/config-space/inverted-registers";
import type { PhysicalConfig } from "../../rigs/config-space/physical-config";
import type { SuiteTarget } from "../../suite-target";

/** Bits 31:20 of the second word of both extended ones (PCI Express 4.0, sections 7.9.5 and 7.9.6). */
const lengthOfExtended = (physical: PhysicalConfig, at: number): number => physical.read32(at + 4) >>> 20;

const KINDS = [
  {
    name: "vendor_specific",
    id: PciCapabilityId.vendorSpecific,
    extended: false,
    // PCI 3.0, appendix H.
    headerBytes: 3,
    lengthOf: (physical: PhysicalConfig, at: number): number => physical.read8(at + 2),
  },
  {
    name: "vendor_specific_extended",
    id: 0x000b,
    extended: true,
    headerBytes: 8,
    lengthOf: lengthOfExtended,
  },
  {
    name: "designated_vendor_specific",
    id: PciExtendedCapabilityId.designatedVendorSpecific,
    extended: true,
    headerBytes: 10,
    lengthOf: lengthOfExtended,
  },
] as const;

/** What a vendor defines is the user's: vfio-pci passes every write on (vfio_raw_config_write). */
export function vendorSpecificTests({ device, place, withPhysical }: CapabilityRig, target: SuiteTarget): void {
  for (const { name, id, extended, headerBytes, lengthOf } of KINDS) {
    it(`${name}_body_is_the_devices_and_its_header_stays`, () => {
      withPhysical((physical) => {
        const at = place(id, extended);
        withInverted(target, physical, at, lengthOf(physical, at), ({ before, inverted, taken }) => {
          if (taken.equals(before)) {
            skip({
              reason: "the device keeps none of its bits",
              remedy: "use the model: vfio-selftests lab run -d model:capabilities",
            });
          }
          device().vfio.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, at, inverted);
          expect(physical.bytes(at, taken.length)).toEqual(taken);
          expect(taken.subarray(0, headerBytes)).toEqual(before.subarray(0, headerBytes));
          expect(Buffer.from(device().config.bytes(at + headerBytes, taken.length - headerBytes))).toEqual(
            taken.subarray(headerBytes),
          );
        });
      });
    });
  }
}
