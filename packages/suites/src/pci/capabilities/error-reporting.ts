import { PciExtendedCapabilityId } from "@vfio-selftests/core/pci";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";

/** Advanced Error Reporting (section 7.8.4). */
const ERRORS = {
  mask: 8,
  correctableMask: 0x14,
  log: 0x1c,
  malformed: 1 << 18,
  badDllp: 1 << 7,
  undefinedBits: 0xe,
} as const;

/** Advanced error reporting: masks reach the device, what is reserved does not (init_pci_ext_cap_err_perm). */
export function errorReportingTests({ device, place, withPhysical }: CapabilityRig): void {
  describe("error_reporting", () => {
    for (const [name, register, bit] of [
      ["uncorrectable_mask", ERRORS.mask, ERRORS.malformed],
      ["correctable_mask", ERRORS.correctableMask, ERRORS.badDllp],
    ] as const) {
      it(`${name}_goes_to_the_device`, () => {
        withPhysical((physical) => {
          const at = place(PciExtendedCapabilityId.advancedErrorReporting, true) + register;
          const { config } = device();
          const before = physical.read32(at);
          for (const value of [before ^ bit, before]) {
            config.write32(at, value >>> 0);
            expect([config.read32(at), physical.read32(at)]).toEqual([value >>> 0, value >>> 0]);
          }
        });
      });
    }

    it("reserved_bits_and_the_log_take_no_write", () => {
      withPhysical((physical) => {
        const errors = place(PciExtendedCapabilityId.advancedErrorReporting, true);
        const { config } = device();
        const mask = physical.read32(errors + ERRORS.mask);
        config.write32(errors + ERRORS.mask, (mask | ERRORS.undefinedBits) >>> 0);
        expect(physical.read32(errors + ERRORS.mask)).toBe(mask);
        const log = physical.read32(errors + ERRORS.log);
        config.write32(errors + ERRORS.log, ~log >>> 0);
        expect([config.read32(errors + ERRORS.log), physical.read32(errors + ERRORS.log)]).toEqual([log, log]);
      });
    });
  });
}
