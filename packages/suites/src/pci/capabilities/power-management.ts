import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../../devices/scratch-registers";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";

/** Power Management (PCI-PM 1.2, section 3.2). */
const PMC = 2;
const PMCSR = 4;
const PM_STATE = 3;
const PME_SUPPORT = 0xf800;
const PME_ENABLE = 0x0100;
const PME_STATUS_AND_ENABLE = 0x8000 | PME_ENABLE;
const DATA_SELECT = 0x1e00;
const BAR_0 = 0x10;
const EFAULT = "EFAULT";

/** Power management: states are the kernel's to change, PME is not shown (vfio_pm_config_write). */
export function powerManagementTests({ address, device, place, withPhysical }: CapabilityRig): void {
  describe("power_management", () => {
    it("capabilities_tell_of_no_pme", () => {
      withPhysical((physical) => {
        const pm = place(PciCapabilityId.powerManagement);
        const { config } = device();
        const real = physical.read16(pm + PMC);
        expect(config.read16(pm + PMC)).toBe(real & ~PME_SUPPORT);
        config.write16(pm + PMC, real ^ 0xffff);
        expect([config.read16(pm + PMC), physical.read16(pm + PMC)]).toEqual([real & ~PME_SUPPORT, real]);
        // Whatever the device has to tell stays hidden, and is not the user's to enable or disable. The status may go: the kernel
        // writes back what it read (docs/kernel-findings/power-event-cleared-by-a-write.md).
        const enabled = physical.read16(pm + PMCSR) & PME_ENABLE;
        for (const written of [0, PME_STATUS_AND_ENABLE]) {
          expect(config.read16(pm + PMCSR) & PME_STATUS_AND_ENABLE).toBe(0);
          config.write16(pm + PMCSR, written);
          expect(physical.read16(pm + PMCSR) & PME_ENABLE).toBe(enabled);
        }
        expect(config.read16(pm + PMCSR) & PME_STATUS_AND_ENABLE).toBe(0);
      });
    });

    it("data_select_goes_to_the_device", () => {
      withPhysical((physical) => {
        const control = place(PciCapabilityId.powerManagement) + PMCSR;
        const { config } = device();
        const before = physical.read16(control);
        physical.write16(control, before ^ DATA_SELECT);
        const kept = physical.read16(control) ^ before;
        physical.write16(control, before);
        if (kept === 0) skip({ reason: "the device has no data register", remedy: "use QEMU's igb" });
        for (const bits of [kept, 0]) {
          config.write16(control, before ^ bits);
          expect([config.read16(control), physical.read16(control)]).toEqual([before ^ bits, before ^ bits]);
        }
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
        // In D3hot no register can be reached, by file or by mapping (__vfio_pci_memory_enabled).
        expect(() => registers.read32(offset)).toThrow(expect.objectContaining({ code: EFAULT }) as Error);
        expect(() => {
          device().vfio.readRegion(bar, offset, new Uint8Array(4));
        }).toThrow(expect.objectContaining({ code: "EIO" }) as Error);
      } finally {
        config.write16(pm + PMCSR, 0);
      }
      expect([state(), config.read16(pm + PMCSR) & PM_STATE]).toEqual(["D0", 0]);
      // vfio_pci_set_power_state saves the registers before and restores them after.
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
}
