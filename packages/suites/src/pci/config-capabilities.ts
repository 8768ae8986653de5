import { PciExtendedCapabilityId } from "@vfio-selftests/core/pci";
import { defaultMode, fixture } from "@vfio-selftests/harness";
import { openCapabilityRig } from "../rigs/config-space/capability-rig";
import { extendedCapabilities, SHOWN_EXTENDED_CAPABILITIES } from "../rigs/config-space/physical-capabilities";
import { virtualisedBytes } from "../rigs/config-space/virtualised-bytes";
import type { SuiteTarget } from "../suite-target";
import { advancedFeaturesTests } from "./capabilities/advanced-features";
import { errorReportingTests } from "./capabilities/error-reporting";
import { expressTests } from "./capabilities/express";
import { messageInterruptTests } from "./capabilities/message-interrupts";
import { powerBudgetingTests } from "./capabilities/power-budgeting";
import { powerManagementTests } from "./capabilities/power-management";
import { protectedRegisterTests } from "./capabilities/protected-registers";
import { vendorSpecificTests } from "./capabilities/vendor-specific";
import { vitalProductDataTests } from "./capabilities/vital-product-data";

const VF_ENABLE = { offset: 8, bit: 1 << 0 } as const;

/** Capabilities: which bits reach the device, which vfio-pci keeps to itself, and which nobody can write. */
export function configCapabilitiesSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_config_capabilities", target, (address) => {
    const rig = openCapabilityRig(mode, address);
    const { device, place, withPhysical } = rig;

    it("headers_take_no_write", () => {
      withPhysical((physical) => {
        const { config } = device();
        for (const { offset } of config.capabilities().capabilities) {
          const before = config.read16(offset);
          config.write16(offset, before ^ 0xffff);
          config.write8(offset + 1, (before >> 8) ^ 0xff);
          expect([offset, config.read16(offset)]).toEqual([offset, before]);
        }
        for (const { offset } of config.extendedCapabilities().capabilities) {
          const before = config.read32(offset);
          config.write32(offset, ~before >>> 0);
          expect([offset, config.read32(offset), physical.read32(offset) & 0xffff]).toEqual([
            offset,
            before,
            physical.read32(offset) & 0xffff,
          ]);
        }
      });
    });

    it("extended_ones_are_the_devices_without_those_that_are_hidden", () => {
      withPhysical((physical) => {
        const shown = device().config.extendedCapabilities().capabilities;
        const real = extendedCapabilities(physical, device().config.size);
        const expected = real.filter(({ id }) => SHOWN_EXTENDED_CAPABILITIES.includes(id));
        expect(shown.filter(({ id }) => id !== 0).map(({ id, offset, version }) => ({ id, offset, version }))).toEqual(
          expected,
        );
        // Only the first cannot be taken out of the list, so it has no id (vfio_ecap_init).
        expect(shown.filter(({ id }) => id === 0).every(({ offset }) => offset === real[0]?.offset)).toBe(true);
      });
    });

    powerManagementTests(rig);
    messageInterruptTests(rig);
    expressTests(rig);
    errorReportingTests(rig);
    vitalProductDataTests(rig);
    advancedFeaturesTests(rig);
    vendorSpecificTests(rig, target);
    protectedRegisterTests(rig, target);
    powerBudgetingTests(rig, target);

    it("virtual_functions_cannot_be_enabled_by_the_register", () => {
      withPhysical((physical) => {
        const control = place(PciExtendedCapabilityId.singleRootIov, true) + VF_ENABLE.offset;
        const before = physical.read16(control);
        device().config.write16(control, before | VF_ENABLE.bit);
        expect([device().config.read16(control), physical.read16(control)]).toEqual([before, before]);
        expect(before & VF_ENABLE.bit).toBe(0);
      });
    });

    it("everything_else_is_the_devices", () => {
      withPhysical((physical) => {
        const { config } = device();
        const own = virtualisedBytes(device());
        const [seen, real] = [config.bytes(0, config.size), physical.bytes(0, config.size)];
        const different = Array.from(seen, (byte, at) => ({ at, byte, real: real[at] })).filter(
          ({ at, byte, real: there }) => !own.has(at) && byte !== there,
        );
        expect(different).toEqual([]);
      });
    });
  });
}
