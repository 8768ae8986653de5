import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";
import { withInverted } from "../../rigs/config-space/inverted-registers";
import type { SuiteTarget } from "../../suite-target";
import { PROTECTED_CAPABILITIES } from "./capability-lengths";

const MODEL = "use the model: vfio-selftests lab run -d model:capabilities";

/**
 * Capabilities without permissions of their own: one write goes over the whole body and the byte behind it. vfio-pci drops it
 * up to the capability's end, where its tables (vfio_cap_len, vfio_ext_cap_len) must agree with the specification. What belongs
 * to no capability is the device's.
 */
export function protectedRegisterTests({ device, place, withPhysical }: CapabilityRig, target: SuiteTarget): void {
  for (const { name, id, extended, lengthOf, writable = [] } of PROTECTED_CAPABILITIES) {
    it(`${name}_takes_no_write_up_to_its_end`, () => {
      withPhysical((physical) => {
        const capability = place(id, extended);
        const length = lengthOf(physical, capability);
        if (length === undefined) skip({ reason: "a capability of this kind has an unknown length", remedy: MODEL });
        const first = extended ? 4 : 2;
        const at = capability + first;
        withInverted(target, physical, at, length + 1 - first, ({ before, inverted, taken }) => {
          const behind = length - first;
          if (before.equals(taken) || taken[behind] === before[behind]) {
            skip({ reason: "the device takes no write there, in it or behind it", remedy: MODEL });
          }
          const reaches = (i: number) => i === behind || writable.includes(i + first);
          const expected = Buffer.from(before.map((byte, i) => (reaches(i) ? (taken[i] ?? byte) : byte)));
          device().vfio.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, at, inverted);
          expect(physical.bytes(at, expected.length)).toEqual(expected);
          expect(Buffer.from(device().config.bytes(at, expected.length))).toEqual(expected);
        });
      });
    });
  }
}
