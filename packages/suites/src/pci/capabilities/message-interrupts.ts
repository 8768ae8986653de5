import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";

/** MSI with 64-bit addresses (PCI 3.0, section 6.8.1). */
const MSI = {
  control: 2,
  addressLow: 4,
  addressHigh: 8,
  data64: 12,
  enable: 1 << 0,
  queue: 7 << 4,
  is64: 1 << 7,
  masks: 1 << 8,
  /** With 64-bit addresses; 32-bit ones have no upper half. */
  mask64: 16,
} as const;
const MSIX = { control: 2, table: 4, enable: 1 << 15, maskAll: 1 << 14 } as const;
const MODEL = "use the model: vfio-selftests lab run -d model:capabilities";

/** MSI, whose address and data are the user's own, and MSI-X: VFIO_DEVICE_SET_IRQS enables them, no register. */
export function messageInterruptTests({ device, place, withPhysical }: CapabilityRig): void {
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

    it("masks_go_to_the_device", () => {
      withPhysical((physical) => {
        const msi = place(PciCapabilityId.msi);
        const { config } = device();
        const control = config.read16(msi + MSI.control);
        if ((control & MSI.masks) === 0) {
          skip({ reason: "the device has no mask bits", remedy: MODEL });
        }
        const at = msi + ((control & MSI.is64) !== 0 ? MSI.mask64 : MSI.mask64 - 4);
        const before = physical.read32(at);
        try {
          physical.write32(at, ~before);
          const kept = (physical.read32(at) ^ before) >>> 0;
          physical.write32(at, before);
          expect(kept).not.toBe(0);
          for (const bits of [kept, 0]) {
            const value = (before ^ bits) >>> 0;
            config.write32(at, value);
            expect([config.read32(at), physical.read32(at)]).toEqual([value, value]);
          }
        } finally {
          physical.write32(at, before);
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

    it("as_many_vectors_as_were_enabled_in_powers_of_two", () => {
      withPhysical((physical) => {
        const msi = place(PciCapabilityId.msi);
        const { config, interrupts } = device();
        const most = Math.min(interrupts.msi.count, 5);
        if (most < 3) skip({ reason: `the device has ${most} MSI vectors`, remedy: MODEL });
        for (let count = 1; count <= most; count++) {
          interrupts.msi.enable(0, count);
          try {
            config.write8(msi + MSI.control, MSI.queue | MSI.enable);
            // vfio_msi_enable: no more than the device could choose for so many.
            const queue = Math.ceil(Math.log2(count)) << 4;
            const shown = [config, physical].map((view) => view.read16(msi + MSI.control) & MSI.queue);
            expect([count, ...shown]).toEqual([count, queue, queue]);
          } finally {
            interrupts.msi.disable();
          }
        }
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
}
