import { PciExtendedCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";

/** Advanced Error Reporting (section 7.8.4). */
const ERRORS = {
  mask: 8,
  log: 0x1c,
  undefinedBits: 0xe,
} as const;
const ONES = 0xffff_ffff;
const UNCORRECTABLE = 0x03ff_f031;
const CORRECTABLE = 0xf1c1;
const ECRC_ENABLES = 0x140;

/** Registers, and those of their bits that a user may write. */
const REGISTERS = [
  { name: "uncorrectable_mask", offset: ERRORS.mask, writable: UNCORRECTABLE },
  { name: "uncorrectable_severity", offset: 0xc, writable: UNCORRECTABLE },
  { name: "correctable_mask", offset: 0x14, writable: CORRECTABLE },
  { name: "ecrc_control", offset: 0x18, writable: ECRC_ENABLES },
] as const;

/** Advanced error reporting: what may change reaches the device, what is reserved does not (init_pci_ext_cap_err_perm). */
export function errorReportingTests({ device, place, withPhysical }: CapabilityRig): void {
  describe("error_reporting", () => {
    for (const { name, offset, writable } of REGISTERS) {
      it(`${name}_goes_to_the_device`, () => {
        withPhysical((physical) => {
          const at = place(PciExtendedCapabilityId.advancedErrorReporting, true) + offset;
          const { config } = device();
          const before = physical.read32(at);
          try {
            physical.write32(at, ~before);
            const kept = (physical.read32(at) ^ before) & writable;
            physical.write32(at, before);
            if (kept === 0) skip({ reason: "the device keeps none of its bits", remedy: "use QEMU's igb" });
            for (const change of [ONES, 0]) {
              config.write32(at, (before ^ change) >>> 0);
              const expected = (before ^ (change & kept)) >>> 0;
              expect([config.read32(at), physical.read32(at)]).toEqual([expected, expected]);
            }
          } finally {
            physical.write32(at, before);
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
