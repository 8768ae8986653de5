import { PciCapabilityId, PciExtendedCapabilityId } from "@vfio-selftests/core/pci";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { openForBlock } from "../rigs/open-device";
import { extendedCapabilities } from "../rigs/physical-capabilities";
import { PhysicalConfig } from "../rigs/physical-config";
import { virtualisedBytes } from "../rigs/virtualised-bytes";
import type { SuiteTarget } from "../suite-target";

/** Power Management (PCI-PM 1.2, section 3.2). */
const PMC = 2;
const PMCSR = 4;
const PM_STATE = 3;
const PME_SUPPORT = 0xf800;
const PME_STATUS_AND_ENABLE = 0x8100;
/** MSI with 64-bit addresses (PCI 3.0, section 6.8.1). */
const MSI = {
  control: 2,
  addressLow: 4,
  addressHigh: 8,
  data64: 12,
  enable: 1 << 0,
  queue: 7 << 4,
  is64: 1 << 7,
} as const;
const MSIX = { control: 2, table: 4, enable: 1 << 15, maskAll: 1 << 14 } as const;
/** PCI Express (section 7.5.3). */
const EXPRESS = {
  deviceControl: 8,
  payload: 7 << 5,
  phantom: 1 << 9,
  readRequest: 7 << 12,
  correctableReports: 1 << 0,
  functionReset: 1 << 15,
  deviceCapabilities: 4,
  canReset: 1 << 28,
  linkControl: 0x10,
  deviceControl2: 0x28,
  alternativeRouting: 1 << 5,
} as const;
/** Advanced Error Reporting (section 7.8.4). */
const ERRORS = {
  mask: 8,
  correctableMask: 0x14,
  log: 0x1c,
  malformed: 1 << 18,
  badDllp: 1 << 7,
  undefinedBits: 0xe,
} as const;
const VF_ENABLE = { offset: 8, bit: 1 << 0 } as const;

/** Extended capabilities that vfio-pci does not show (pci_ext_cap_length 0). */
const HIDDEN = [0x05, 0x06, 0x07, 0x0a, 0x0c, 0x11, 0x14, 0x19, 0x1a, 0x1b];
const LAST_KNOWN = 0x23;
const BAR_0 = 0x10;
const EFAULT = "EFAULT";

/** Capabilities: which of their bits reach the device, which are vfio-pci's own, and which nobody can write. */
export function configCapabilitiesSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_config_capabilities", target, (address) => {
    const device = openForBlock(mode, address);

    /** The capability's place; skips the test where the device has none. */
    const place = (id: number, extended = false): number => {
      const { config } = device();
      const capability = extended ? config.findExtendedCapability(id) : config.findCapability(id);
      if (capability !== undefined) return capability.offset;
      skip({
        reason: `the device has no capability 0x${id.toString(16)}`,
        remedy: "use QEMU's igb: vfio-selftests lab run",
      });
    };

    const withPhysical = (use: (physical: PhysicalConfig) => void): void => {
      using physical = new PhysicalConfig(address);
      use(physical);
    };

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
        const expected = real.filter(({ id }) => id <= LAST_KNOWN && !HIDDEN.includes(id));
        expect(shown.filter(({ id }) => id !== 0).map(({ id, offset, version }) => ({ id, offset, version }))).toEqual(
          expected,
        );
      });
    });

    describe("power_management", () => {
      it("capabilities_tell_of_no_pme", () => {
        withPhysical((physical) => {
          const pm = place(PciCapabilityId.powerManagement);
          const { config } = device();
          const real = physical.read16(pm + PMC);
          expect(config.read16(pm + PMC)).toBe(real & ~PME_SUPPORT);
          config.write16(pm + PMC, real ^ 0xffff);
          expect([config.read16(pm + PMC), physical.read16(pm + PMC)]).toEqual([real & ~PME_SUPPORT, real]);
          config.write16(pm + PMCSR, PME_STATUS_AND_ENABLE);
          expect(config.read16(pm + PMCSR) & PME_STATUS_AND_ENABLE).toBe(0);
        });
      });

      it("d3hot_and_back", () => {
        const pm = place(PciCapabilityId.powerManagement);
        const { config } = device();
        const { bar, offset } = scratchRegistersOf(device());
        const state = () => readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim();
        const registers = device().bar(bar);
        config.busMaster = true;
        const command = config.command;
        const bars = Array.from({ length: 6 }, (_, number) => config.read32(BAR_0 + 4 * number));
        try {
          expect([state(), config.read16(pm + PMCSR) & PM_STATE]).toEqual(["D0", 0]);
          config.write16(pm + PMCSR, 3);
          expect([state(), config.read16(pm + PMCSR) & PM_STATE]).toEqual(["D3hot", 3]);
          // __vfio_pci_memory_enabled: no register in D3hot, by file or by mapping.
          expect(() => registers.read32(offset)).toThrow(expect.objectContaining({ code: EFAULT }) as Error);
          expect(() => {
            device().vfio.readRegion(bar, offset, new Uint8Array(4));
          }).toThrow(expect.objectContaining({ code: "EIO" }) as Error);
        } finally {
          config.write16(pm + PMCSR, 0);
        }
        expect([state(), config.read16(pm + PMCSR) & PM_STATE]).toEqual(["D0", 0]);
        // Saved before and restored after (vfio_pci_set_power_state).
        withPhysical((physical) => {
          expect([config.command, physical.read16(4)]).toEqual([command, command]);
          expect(bars.map((_, number) => physical.read32(BAR_0 + 4 * number))).toEqual(bars);
        });
        registers.write32(offset, 0x600d);
        expect(registers.read32(offset)).toBe(0x600d);
        registers.write32(offset, 0);
        config.busMaster = false;
      });

      it("reset_from_d3hot", () => {
        const pm = place(PciCapabilityId.powerManagement);
        const { config } = device();
        if (!device().info.resettable) skip({ reason: "the device has no reset", remedy: "use one with FLR" });
        config.write16(pm + PMCSR, 3);
        device().reset();
        expect(readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim()).toBe("D0");
        expect(config.read16(pm + PMCSR) & PM_STATE).toBe(0);
        expect(device().bar(0).read32(0)).not.toBe(0xffff_ffff);
      });

      it("state_that_the_device_lacks_is_not_taken", () => {
        const pm = place(PciCapabilityId.powerManagement);
        const { config } = device();
        const supported = config.read16(pm + PMC) >> 9;
        for (const [state, bit] of [
          [1, 1],
          [2, 2],
        ] as const) {
          if ((supported & bit) !== 0) continue;
          config.write16(pm + PMCSR, state);
          expect([state, config.read16(pm + PMCSR) & PM_STATE]).toEqual([state, 0]);
          expect(readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim()).toBe("D0");
        }
        expect(config.read16(pm + PMCSR) & PM_STATE).toBe(0);
      });
    });

    describe("msi", () => {
      it("address_and_data_are_the_users", () => {
        withPhysical((physical) => {
          const msi = place(PciCapabilityId.msi);
          const { config } = device();
          const is64 = (config.read16(msi + MSI.control) & MSI.is64) !== 0;
          const fields = is64
            ? [MSI.addressLow, MSI.addressHigh, MSI.data64].map((field) => msi + field)
            : [MSI.addressLow, MSI.addressHigh].map((field) => msi + field);
          for (const field of fields) {
            const [before, real] = [config.read16(field), physical.read16(field)];
            config.write16(field, 0xa5c4);
            expect([field, config.read16(field), physical.read16(field)]).toEqual([field, 0xa5c4, real]);
            config.write16(field, before);
          }
        });
      });

      it("enable_bit_is_the_ioctls", () => {
        withPhysical((physical) => {
          const msi = place(PciCapabilityId.msi);
          const { config, interrupts } = device();
          const control = () => [
            config.read16(msi + MSI.control) & MSI.enable,
            physical.read16(msi + MSI.control) & MSI.enable,
          ];
          config.write16(msi + MSI.control, config.read16(msi + MSI.control) | MSI.enable);
          expect(control()).toEqual([0, 0]);
          interrupts.msi.enable(0, 1);
          try {
            config.write8(msi + MSI.control, (config.read16(msi + MSI.control) & 0xff) | MSI.enable);
            expect(control()).toEqual([1, 1]);
            config.write8(msi + MSI.control, config.read16(msi + MSI.control) & 0xfe);
            expect(control()).toEqual([0, 0]);
          } finally {
            interrupts.msi.disable();
          }
          config.write16(msi + MSI.control, config.read16(msi + MSI.control) | MSI.enable);
          expect(control()).toEqual([0, 0]);
        });
      });

      it("no_more_vectors_than_were_enabled", () => {
        withPhysical((physical) => {
          const msi = place(PciCapabilityId.msi);
          const { config, interrupts } = device();
          interrupts.msi.enable(0, 1);
          try {
            config.write8(msi + MSI.control, MSI.queue | MSI.enable);
            expect(config.read16(msi + MSI.control) & MSI.queue).toBe(0);
            expect(physical.read16(msi + MSI.control) & MSI.queue).toBe(0);
          } finally {
            interrupts.msi.disable();
          }
        });
      });
    });

    it("msix_takes_no_write", () => {
      withPhysical((physical) => {
        const msix = place(PciCapabilityId.msix);
        const { config } = device();
        for (const offset of [MSIX.control, MSIX.table, MSIX.table + 4]) {
          const before = physical.read16(msix + offset);
          config.write16(msix + offset, before ^ (MSIX.enable | MSIX.maskAll | 0x3ff));
          expect([offset, config.read16(msix + offset), physical.read16(msix + offset)]).toEqual([
            offset,
            before,
            before,
          ]);
        }
      });
    });

    describe("express", () => {
      const withControl = (use: (control: number, before: number, physical: PhysicalConfig) => void): void => {
        const control = place(PciCapabilityId.pciExpress) + EXPRESS.deviceControl;
        withPhysical((physical) => {
          const before = device().config.read16(control);
          try {
            use(control, before, physical);
          } finally {
            device().config.write16(control, before);
          }
        });
      };

      /** Skips where the device itself does not keep these bits. */
      const requireKept = (physical: PhysicalConfig, control: number, bits: number): void => {
        const before = physical.read16(control);
        physical.write16(control, before ^ bits);
        const kept = physical.read16(control) === (before ^ bits);
        physical.write16(control, before);
        if (!kept)
          skip({ reason: `the device does not keep bits 0x${bits.toString(16)}`, remedy: "use real hardware" });
      };

      it("payload_size_is_the_users", () => {
        withControl((control, before, physical) => {
          const { config } = device();
          const real = physical.read16(control) & EXPRESS.payload;
          config.write16(control, before ^ (2 << 5));
          expect(config.read16(control) & EXPRESS.payload).toBe((before ^ (2 << 5)) & EXPRESS.payload);
          expect(physical.read16(control) & EXPRESS.payload).toBe(real);
        });
      });

      it("read_request_size_goes_to_the_device_when_large_enough", () => {
        withControl((control, before, physical) => {
          const { config } = device();
          const shown = (register: number) => (register & EXPRESS.readRequest) >> 12;
          const payload = (physical.read16(control) & EXPRESS.payload) >> 5;
          const write = (size: number) => {
            config.write16(control, (before & ~EXPRESS.readRequest) | (size << 12));
          };
          // vfio_exp_config_write: the user sees what was written, the device gets at least its payload size.
          for (const size of [3, 5, 0]) {
            write(size);
            expect([size, shown(config.read16(control))]).toEqual([size, size]);
          }
          requireKept(physical, control, EXPRESS.readRequest);
          for (const size of [3, 5, 1, 2, 0, 2]) {
            write(size);
            expect([size, shown(physical.read16(control))]).toEqual([size, Math.max(size, payload)]);
          }
        });
      });

      it("phantom_functions_stay_off", () => {
        withControl((control, before, physical) => {
          const { config } = device();
          config.write16(control, before | EXPRESS.phantom);
          expect((config.read16(control) | physical.read16(control)) & EXPRESS.phantom).toBe(0);
        });
      });

      it("error_reports_go_to_the_device", () => {
        withControl((control, before, physical) => {
          const { config } = device();
          requireKept(physical, control, EXPRESS.correctableReports);
          for (const value of [before | EXPRESS.correctableReports, before & ~EXPRESS.correctableReports]) {
            config.write16(control, value);
            const bit = EXPRESS.correctableReports;
            expect([config.read16(control) & bit, physical.read16(control) & bit]).toEqual([value & bit, value & bit]);
          }
        });
      });

      it("function_reset_resets_and_reads_as_zero", () => {
        withControl((control, before, physical) => {
          const { config } = device();
          const express = control - EXPRESS.deviceControl;
          if ((physical.read32(express + EXPRESS.deviceCapabilities) & EXPRESS.canReset) === 0) {
            skip({
              reason: "the device has no function-level reset",
              remedy: "use QEMU's igb: vfio-selftests lab run",
            });
          }
          const { bar, offset } = scratchRegistersOf(device());
          const registers = device().bar(bar);
          config.busMaster = true;
          registers.write32(offset, 0x5afe);
          expect(registers.read32(offset)).toBe(0x5afe);
          config.write16(control, before | EXPRESS.functionReset);
          expect(config.read16(control) & EXPRESS.functionReset).toBe(0);
          expect(registers.read32(offset)).toBe(0);
          expect(config.busMaster).toBe(true);
          config.busMaster = false;
        });
      });

      it("link_control_takes_no_write", () => {
        withPhysical((physical) => {
          const link = place(PciCapabilityId.pciExpress) + EXPRESS.linkControl;
          const before = physical.read16(link);
          device().config.write16(link, before ^ 0x00c3);
          expect([device().config.read16(link), physical.read16(link)]).toEqual([before, before]);
        });
      });

      it("alternative_routing_takes_no_write", () => {
        withPhysical((physical) => {
          const control = place(PciCapabilityId.pciExpress) + EXPRESS.deviceControl2;
          const before = physical.read16(control);
          device().config.write16(control, before ^ EXPRESS.alternativeRouting);
          expect(physical.read16(control)).toBe(before);
        });
      });
    });

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
