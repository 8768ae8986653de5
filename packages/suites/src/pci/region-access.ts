import { readvSync, writevSync } from "node:fs";
import type { PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import {
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { PATTERN, regionRig } from "../rigs/device/region-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";
import { regionMappingTests } from "./region-mapping";

const WIDTHS = [1, 2, 4, 8] as const;
const MSIX_TABLE = 4;
const MSIX_PENDING = 8;
const ONES_4 = Buffer.alloc(4, 0xff);
const MEMORY_ENABLE = 1 << 1;

/** Registers by the device's file (widths, alignments, the hidden MSI-X table, the ends), and what cannot be mapped. */
export function regionAccessSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_regions", target, (address) => {
    const rig = regionRig(mode, address);
    const { device, raw, withPattern } = rig;

    describe("file", () => {
      for (const width of WIDTHS) {
        it(`reads_${width}_bytes_as_the_mapping_does`, () => {
          withPattern(({ bar, offset }) => {
            for (let at = offset; at < offset + 16; at += width) {
              const { result, bytes } = raw().read(bar, at, width);
              expect({ at, result, bytes }).toEqual({
                at,
                result: width,
                bytes: mappedBytes(device(), bar, at, width),
              });
            }
          });
        });

        it(`writes_${width}_bytes_as_the_mapping_does`, () => {
          withPattern(({ bar, offset }) => {
            const registers = device().bar(bar);
            const bytes = Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88).subarray(0, width);
            const shown = () => PATTERN.map((_, number) => registers.read32(offset + 4 * number));
            writeMapped(device(), bar, offset, bytes);
            const expected = shown();
            PATTERN.forEach((value, number) => {
              registers.write32(offset + 4 * number, value);
            });
            expect(raw().write(bar, offset, bytes)).toBe(width);
            expect(shown()).toEqual(expected);
            expect(shown()).not.toEqual([...PATTERN]);
          });
        });
      }

      for (const [at, length, widths] of [
        [1, 3, [1, 2]],
        [1, 7, [1, 2, 4]],
        [2, 4, [2, 2]],
        [2, 6, [2, 4]],
        [4, 8, [4, 4]],
        [4, 12, [4, 8]],
        [3, 9, [1, 4, 4]],
        [0, 15, [8, 4, 2, 1]],
      ] as const) {
        it(`reads_${length}_bytes_from_offset_${at}_by_${widths.join("_")}`, () => {
          withPattern(({ bar, offset }) => {
            // vfio_pci_core_do_io_rw takes the widest access that is aligned and fits.
            const parts: Buffer[] = [];
            let next = offset + at;
            for (const width of widths) {
              parts.push(mappedBytes(device(), bar, next, width));
              next += width;
            }
            expect(raw().read(bar, offset + at, length)).toEqual({ result: length, bytes: Buffer.concat(parts) });
          });
        });
      }

      it("reads_and_writes_nothing_where_nothing_is_asked", () => {
        for (const region of [0, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_REGIONS]) {
          expect(raw().read(region, 0, 0).result).toBe(0);
        }
        // Also where a write would be refused.
        for (const region of [0, VFIO_PCI_ROM_REGION_INDEX, VFIO_PCI_NUM_REGIONS]) {
          expect(raw().write(region, 0, new Uint8Array(0))).toBe(0);
        }
      });

      it("position_moves_with_what_is_read", () => {
        const fd = deviceFileOf(device().vfio).descriptor("read");
        const { index } = device().bars[0] ?? { index: 0 };
        const read = (): string => {
          const bytes = Buffer.alloc(4);
          expect(native.read(fd, bytes)).toBe(4);
          return bytes.toString("hex");
        };
        // The file begins with BAR 0, and cannot be sought in.
        const expected = [0, 4, 8, 12].map((at) => raw().read(index, at, 4).bytes.toString("hex"));
        expect(expected.map(() => read())).toEqual(expected);
        expect(new Set(expected).size).toBeGreaterThan(1);
      });

      for (const name of ["bar", "configuration_space"] as const) {
        it(`next_buffer_goes_on_where_the_last_ended_in_${name}`, () => {
          const bar = device().bars.find(({ kind }) => kind === "memory");
          if (bar === undefined) skip({ reason: "the device has no memory BAR", remedy: "use another device" });
          const region = name === "bar" ? bar.index : VFIO_PCI_CONFIG_REGION_INDEX;
          const fd = deviceFileOf(device().vfio).descriptor("preadv");
          // Each buffer of preadv(2) is a read of its own, and the position moves between them (do_loop_readv_writev).
          const buffers = [0, 4, 8, 12].map(() => Buffer.alloc(4));
          const expected = [0, 4, 8, 12].map((at) => raw().read(region, at, 4).bytes);
          expect(readvSync(fd, buffers, Number(raw().positionOf(region, 0)))).toBe(16);
          expect(buffers).toEqual(expected);
          expect(new Set(expected.map((bytes) => bytes.toString("hex"))).size).toBeGreaterThan(1);
        });
      }

      it("next_buffer_is_written_where_the_last_ended", () => {
        withPattern(({ bar, offset }) => {
          const fd = deviceFileOf(device().vfio).descriptor("pwritev");
          const values = Uint32Array.of(0x1111_1111, 0x2222_2222, 0x3333_3333);
          const buffers = Array.from(values, (_, number) => values.subarray(number, number + 1));
          expect(writevSync(fd, buffers, Number(raw().positionOf(bar, offset)))).toBe(12);
          const registers = device().bar(bar);
          expect(PATTERN.map((_, number) => registers.read32(offset + 4 * number))).toEqual([...values, PATTERN[3]]);
        });
      });

      it("ends_with_the_bar", () => {
        for (const { index, size } of device().bars.filter(({ kind }) => kind !== "none")) {
          expect([index, raw().read(index, size - 4, 4).result]).toEqual([index, 4]);
          expect([index, raw().read(index, size - 4, 8).result]).toEqual([index, 4]);
          // Several accesses up to the end show what each of them does.
          const last = Buffer.concat([16, 8].map((before) => raw().read(index, size - before, 8).bytes));
          expect([index, raw().read(index, size - 16, 16)]).toEqual([index, { result: 16, bytes: last }]);
          expect([index, raw().read(index, size, 4).result]).toEqual([index, "EINVAL"]);
          expect([index, raw().read(index, size + PAGE_SIZE, 4).result]).toEqual([index, "EINVAL"]);
          expect([index, raw().write(index, size, ONES_4)]).toEqual([index, "EINVAL"]);
        }
      });

      it("has_no_bar_that_the_device_lacks", () => {
        const absent = device().bars.filter(({ region }) => region.size === 0);
        if (absent.length === 0) skip({ reason: "the device has six BARs", remedy: "use another device" });
        for (const { index } of absent) {
          expect(raw().read(index, 0, 4).result).toBe("EINVAL");
          expect(raw().write(index, 0, ONES_4)).toBe("EINVAL");
        }
      });

      it("has_no_rom_that_the_device_lacks_and_takes_no_write", () => {
        expect(raw().write(VFIO_PCI_ROM_REGION_INDEX, 0, ONES_4)).toBe("EINVAL");
        const { size } = device().rom;
        expect(raw().read(VFIO_PCI_ROM_REGION_INDEX, size, 4).result).toBe("EINVAL");
        // An image begins with 55 aa (PCI 3.0, section 6.3.1.1).
        if (size > 0) expect(raw().read(VFIO_PCI_ROM_REGION_INDEX, 0, 2).bytes).toEqual(Buffer.of(0x55, 0xaa));
      });

      it("has_no_region_beyond", () => {
        for (const region of [VFIO_PCI_VGA_REGION_INDEX, VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_REGIONS + 7]) {
          expect([region, raw().read(region, 0xa0000, 4).result]).toEqual([region, "EINVAL"]);
          expect([region, raw().write(region, 0xa0000, ONES_4)]).toEqual([region, "EINVAL"]);
        }
      });

      it("needs_memory_space", () => {
        withPattern(({ bar, offset }) => {
          const { config } = device();
          config.memoryEnable = false;
          try {
            for (const width of WIDTHS) {
              expect([width, raw().read(bar, offset, width).result]).toEqual([width, "EIO"]);
              expect([width, raw().write(bar, offset, Buffer.alloc(width))]).toEqual([width, "EIO"]);
            }
          } finally {
            config.memoryEnable = true;
          }
          expect(device().bar(bar).read32(offset)).toBe(PATTERN[0]);
        });
      });

      it("of_io_ports_needs_no_memory_space", () => {
        const ports = device().bars.find(({ kind }) => kind === "io");
        if (ports === undefined) skip({ reason: "the device has no I/O ports", remedy: "use a device with I/O ports" });
        const { config } = device();
        const { command } = config;
        config.command = (command | 1) & ~MEMORY_ENABLE;
        try {
          const offset = 0;
          expect(raw().write(ports.index, offset, Uint8Array.of(0x08, 0, 0, 0))).toBe(4);
          expect(raw().read(ports.index, offset, 4)).toEqual({ result: 4, bytes: Buffer.of(0x08, 0, 0, 0) });
        } finally {
          config.command = command;
        }
      });
    });

    describe("msix_table", () => {
      const table = (): { bar: number; start: number; end: number; pending: number } => {
        const capability = device().config.findCapability(PciCapabilityId.msix);
        if (capability === undefined) skip({ reason: "the device has no MSI-X", remedy: "use a device with MSI-X" });
        const place = device().config.read32(capability.offset + MSIX_TABLE);
        const start = place & ~7;
        const pending = device().config.read32(capability.offset + MSIX_PENDING) & ~7;
        return { bar: place & 7, start, end: start + 16 * device().interrupts.msix.count, pending };
      };

      it("reads_as_ones", () => {
        const { bar, start, end } = table();
        // The mapping shows other values.
        expect(device().bar(bar).read32(start)).not.toBe(0xffff_ffff);
        expect(raw().read(bar, start, end - start)).toEqual({
          result: end - start,
          bytes: Buffer.alloc(end - start, 0xff),
        });
      });

      it("ends_where_it_ends", () => {
        const { bar, start, end } = table();
        const behind = mappedBytes(device(), bar, end, 4);
        expect(behind).not.toEqual(ONES_4);
        expect(raw().read(bar, end - 4, 8)).toEqual({ result: 8, bytes: Buffer.concat([ONES_4, behind]) });
        expect(raw().read(bar, end, 4)).toEqual({ result: 4, bytes: behind });
        if (start >= 4)
          expect(
            raw()
              .read(bar, start - 4, 8)
              .bytes.subarray(4),
          ).toEqual(ONES_4);
      });

      it("takes_no_write", () => {
        const { bar, start, end } = table();
        for (const at of [start, end - 16]) {
          const before = device().bar(bar).read32(at);
          expect(raw().write(bar, at, Uint8Array.of(0x50, 0x55, 0x55, 0x5a))).toBe(4);
          expect(device().bar(bar).read32(at)).toBe(before);
        }
      });

      it("pending_bits_are_shown", () => {
        const { bar, pending } = table();
        expect(raw().read(bar, pending, 4)).toEqual({ result: 4, bytes: mappedBytes(device(), bar, pending, 4) });
      });
    });

    regionMappingTests(rig);
  });
}

/** One access of this width through the mapping. */
function mappedBytes(device: PciDevice, bar: number, offset: number, width: number): Buffer {
  const registers = device.bar(bar);
  const bytes = Buffer.alloc(width);
  if (width === 1) bytes.writeUInt8(registers.read8(offset));
  else if (width === 2) bytes.writeUInt16LE(registers.read16(offset));
  else if (width === 4) bytes.writeUInt32LE(registers.read32(offset));
  else bytes.writeBigUInt64LE(registers.read64(offset));
  return bytes;
}

function writeMapped(device: PciDevice, bar: number, offset: number, from: Uint8Array): void {
  const registers = device.bar(bar);
  const bytes = Buffer.from(from);
  if (bytes.length === 1) registers.write8(offset, bytes.readUInt8());
  else if (bytes.length === 2) registers.write16(offset, bytes.readUInt16LE());
  else if (bytes.length === 4) registers.write32(offset, bytes.readUInt32LE());
  else registers.write64(offset, bytes.readBigUInt64LE());
}
