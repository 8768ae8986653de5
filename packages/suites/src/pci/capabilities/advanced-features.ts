import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../../devices/scratch-registers";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";

/** Advanced features for conventional PCI (PCI-SIG's ECN of 2006). */
const FEATURES = {
  capabilities: 3,
  /** Transactions Pending and function level reset. */
  canReset: 0x03,
  control: 4,
  reset: 0x01,
} as const;
const MARK = 0x5afe;

/** Advanced features: of the control register, only the reset does something (vfio_af_config_write). */
export function advancedFeaturesTests({ device, place, withPhysical }: CapabilityRig): void {
  it("advanced_features_reset_resets_and_reads_as_zero", () => {
    withPhysical((physical) => {
      const features = place(PciCapabilityId.advancedFeatures);
      if ((physical.read8(features + FEATURES.capabilities) & FEATURES.canReset) !== FEATURES.canReset) {
        skip({
          reason: "the device's advanced features have no reset",
          remedy: "use the model that has it: vfio-selftests lab run -d model:capabilities",
        });
      }
      const { config } = device();
      const { bar, offset } = scratchRegistersOf(device());
      const registers = device().bar(bar);
      const control = features + FEATURES.control;
      const before = physical.read8(control);
      config.busMaster = true;
      registers.write32(offset, MARK);
      config.write8(control, ~before & 0xff & ~FEATURES.reset);
      expect([config.read8(control), physical.read8(control)]).toEqual([before, before]);
      expect(registers.read32(offset)).toBe(MARK);
      config.write8(control, before | FEATURES.reset);
      expect([config.read8(control), physical.read8(control)]).toEqual([before, before]);
      expect([registers.read32(offset), config.busMaster]).toEqual([0, true]);
      config.busMaster = false;
    });
  });
}
