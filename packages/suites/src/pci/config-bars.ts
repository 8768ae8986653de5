import { pciDevice, type PciResource } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../rigs/config-space/capability-rig";

const BAR_0 = 0x10;
const ROM_BAR = 0x30;
const ONES = 0xffff_ffff;

/** Flags of sysfs's `resource` (include/linux/ioport.h), and the bits of a base address register that show them. */
const FLAGS = [
  { resource: 0x100n, register: 1 << 0 },
  { resource: 0x2000n, register: 1 << 3 },
  { resource: 0x10_0000n, register: 2 << 1 },
] as const;
const IORESOURCE_MEM_64 = 0x10_0000n;

/** Base address registers: the user's own, and sized like the device's (vfio_bar_fixup). */
export function baseAddressTests({ address, device, withPhysical }: Omit<CapabilityRig, "place">): void {
  describe("base_address", () => {
    const resource = (index: number): PciResource | undefined =>
      pciDevice(address).resources.find((each) => each.index === index);

    for (const bar of [0, 1, 2, 3, 4, 5]) {
      it(`bar_${bar}_is_sized_by_writing_ones`, () => {
        withPhysical((physical) => {
          const { config } = device();
          const offset = BAR_0 + 4 * bar;
          const [before, real] = [config.read32(offset), physical.read32(offset)];
          const below = bar === 0 ? undefined : resource(bar - 1);
          const upper = below !== undefined && (below.flags & IORESOURCE_MEM_64) !== 0n;
          const { size, flags } = resource(bar) ?? { size: 0n, flags: 0n };
          // vfio_bar_fixup gives the size's mask with the type in the low bits, or 0 where the host has no resource.
          const mask = BigInt.asUintN(64, ~((upper ? below.size : size) - 1n));
          const low =
            Number(mask & 0xffff_ffffn) |
            FLAGS.reduce((all, { resource: flag, register }) => all | ((flags & flag) === 0n ? 0 : register), 0);
          const expected = upper ? Number(mask >> 32n) : size === 0n ? 0 : low >>> 0;
          config.write32(offset, ONES);
          expect(config.read32(offset)).toBe(expected);
          // The device's own register does not change.
          expect(physical.read32(offset)).toBe(real);
          config.write32(offset, before);
          expect([config.read32(offset), physical.read32(offset)]).toEqual([before, real]);
        });
      });
    }

    it("shows_the_devices_addresses_at_first", () => {
      withPhysical((physical) => {
        const { config } = device();
        const bars = [0, 1, 2, 3, 4, 5].map((bar) => BAR_0 + 4 * bar);
        expect(bars.map((offset) => config.read32(offset))).toEqual(bars.map((offset) => physical.read32(offset)));
      });
    });

    it("is_written_by_bytes_and_words", () => {
      const bar = device().bars.find(({ kind }) => kind === "memory");
      if (bar === undefined) skip({ reason: "the device has no memory BAR", remedy: "use another device" });
      const { config } = device();
      const offset = BAR_0 + 4 * bar.index;
      const before = config.read32(offset);
      try {
        config.write32(offset, 0);
        const type = config.read32(offset);
        config.write8(offset + 3, 0xe5);
        expect(config.read32(offset)).toBe((0xe500_0000 | type) >>> 0);
        config.write16(offset + 2, 0xd480);
        expect(config.read32(offset) >>> 24).toBe(0xd4);
        expect(config.read8(offset + 3)).toBe(0xd4);
        expect(config.read16(offset)).toBe(type);
      } finally {
        config.write32(offset, before);
      }
    });

    for (const width of [1, 2] as const) {
      it(`written_by_${width === 1 ? "bytes" : "words"}_keeps_to_its_size`, () => {
        const { config } = device();
        const registers = [...[0, 1, 2, 3, 4, 5].map((bar) => BAR_0 + 4 * bar), ROM_BAR];
        const parts = Array.from({ length: 4 / width }, (_, part) => part * width);
        const ones = width === 1 ? 0xff : 0xffff;
        const shown = registers.map((offset) => {
          const before = config.read32(offset);
          const after = (value: number) => {
            config.write32(offset, value);
            return config.read32(offset);
          };
          try {
            const [type, whole] = [after(0), after(ONES)];
            return parts.map((part) => {
              after(0);
              if (width === 1) config.write8(offset + part, ones);
              else config.write16(offset + part, ones);
              const expected = ((whole & (ones << (8 * part))) | type) >>> 0;
              return { offset, part, value: config.read32(offset), expected };
            });
          } finally {
            config.write32(offset, before);
          }
        });
        expect(shown.flat().filter(({ value, expected }) => value !== expected)).toEqual([]);
      });
    }

    it("rom_is_sized_by_writing_ones", () => {
      withPhysical((physical) => {
        const { config } = device();
        const real = physical.read32(ROM_BAR);
        const before = config.read32(ROM_BAR);
        const size = Number(resource(6)?.size ?? 0n);
        config.write32(ROM_BAR, ONES);
        // The enable bit stays writable (vfio_bar_fixup).
        expect(config.read32(ROM_BAR)).toBe(size === 0 ? 0 : (~(size - 1) | 1) >>> 0);
        expect(physical.read32(ROM_BAR)).toBe(real);
        config.write32(ROM_BAR, before);
      });
    });
  });
}
