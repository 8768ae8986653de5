import { readFileSync } from "node:fs";
import type { PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { native, type NativeIo } from "@vfio-selftests/native";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { openForBlock } from "../rigs/open-device";
import { PAGE_SIZE } from "../rigs/page-size";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const WIDTHS = [1, 2, 4, 8] as const;
const PATTERN = [0x1234_5678, 0x9abc_def0, 0x0fed_cba9, 0x8765_4321] as const;
const MSIX_TABLE = 4;
const MSIX_PENDING = 8;
const ONES_4 = Buffer.alloc(4, 0xff);
const MEMORY_ENABLE = 1 << 1;
/** Offset in the power management capability, and its deepest state (PCI-PM 1.2, section 3.2.4). */
const PMCSR = 4;
const D3_HOT = 3;

/** Registers by the device's file (widths, alignments, the hidden MSI-X table, the ends), and what cannot be mapped. */
export function regionAccessSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_regions", target, (address) => {
    const device = openForBlock(mode, address);
    const raw = () => new RawDevice(device());

    /** Four scratch registers that hold the pattern while `use` runs. */
    const withPattern = (use: (scratch: { bar: number; offset: number }) => void): void => {
      const scratch = scratchRegistersOf(device());
      const write = (values: readonly number[]) => {
        values.forEach((value, number) => {
          device()
            .bar(scratch.bar)
            .write32(scratch.offset + 4 * number, value);
        });
      };
      write(PATTERN);
      try {
        use(scratch);
      } finally {
        write([0, 0, 0, 0]);
      }
    };

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

      it("ends_with_the_bar", () => {
        for (const { index, size } of device().bars.filter(({ kind }) => kind !== "none")) {
          expect([index, raw().read(index, size - 4, 4).result]).toEqual([index, 4]);
          expect([index, raw().read(index, size - 4, 8).result]).toEqual([index, 4]);
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

    describe("mapping", () => {
      /** Maps, expects the outcome, and unmaps. */
      const expectMap = (expected: string | undefined, ...request: Parameters<RawDevice["map"]>): void => {
        const mapped = raw().map(...request);
        if (typeof mapped !== "string") mapped.unmap();
        expect({ request, error: typeof mapped === "string" ? mapped : undefined }).toEqual({
          request,
          error: expected,
        });
      };
      const mappable = () => {
        const bar = device().bars.find((each) => each.mappable && each.size >= 2 * PAGE_SIZE);
        return bar ?? skip({ reason: "no BAR of two pages can be mapped", remedy: "use a device with one" });
      };

      it("private_is_refused", () => {
        const { index } = mappable();
        expectMap(undefined, index, { flags: MAP_SHARED });
        expectMap("EINVAL", index, { flags: MAP_PRIVATE });
      });

      it("beyond_the_bar_is_refused", () => {
        const { index, size } = mappable();
        expectMap(undefined, index, { offset: size - PAGE_SIZE });
        expectMap(undefined, index, { length: size });
        expectMap("EINVAL", index, { offset: size });
        expectMap("EINVAL", index, { length: size + PAGE_SIZE });
        expectMap("EINVAL", index, { offset: size - PAGE_SIZE, length: 2 * PAGE_SIZE });
      });

      it("what_is_not_told_as_mappable_is_refused", () => {
        for (const { index } of device().bars.filter((bar) => !bar.mappable)) expectMap("EINVAL", index);
        for (const region of [
          VFIO_PCI_ROM_REGION_INDEX,
          VFIO_PCI_CONFIG_REGION_INDEX,
          VFIO_PCI_VGA_REGION_INDEX,
          VFIO_PCI_NUM_REGIONS,
          VFIO_PCI_NUM_REGIONS + 7,
        ]) {
          expectMap("EINVAL", region);
        }
      });

      it("of_one_page_shows_that_page", () => {
        withPattern(({ bar, offset }) => {
          const page = offset - (offset % PAGE_SIZE);
          const mapped = raw().map(bar, { offset: page });
          if (typeof mapped === "string") throw new Error(`the page was not mapped: ${mapped}`);
          try {
            PATTERN.forEach((value, number) => {
              expect(mapped.read32(offset - page + 4 * number)).toBe(value);
            });
          } finally {
            mapped.unmap();
          }
        });
      });

      it("read_only_takes_no_write", () => {
        withPattern(({ bar, offset }) => {
          const page = offset - (offset % PAGE_SIZE);
          const mapped = raw().map(bar, { offset: page, prot: PROT_READ });
          if (typeof mapped === "string") throw new Error(`the page was not mapped: ${mapped}`);
          expect(mapped.read32(offset - page)).toBe(PATTERN[0]);
          expect(mapped.write32(offset - page, 0)).toBeLessThan(0);
          expect(mapped.read32(offset - page)).toBe(PATTERN[0]);
          mapped.unmap();
        });
      });

      it("cannot_grow_and_is_in_no_core_dump", () => {
        const { index } = mappable();
        const mapped = raw().map(index);
        if (typeof mapped === "string") throw new Error(`the BAR was not mapped: ${mapped}`);
        try {
          // vfio_pci_core_mmap: io, pfnmap, dontexpand, dontdump (Documentation/filesystems/proc.rst). A mapping that
          // mremap(2) may make longer would show the registers of the next device.
          expect(mappingFlags(mapped.address)).toEqual(expect.arrayContaining(["sh", "io", "pf", "de", "dd"]));
        } finally {
          mapped.unmap();
        }
      });

      it("of_every_bar_is_of_no_use_while_memory_space_is_off", () => {
        const bars = device().bars.filter((bar) => bar.mappable);
        const mappings = bars.map(({ index }) => {
          const mapped = raw().map(index);
          if (typeof mapped === "string") throw new Error(`BAR ${index} was not mapped: ${mapped}`);
          return mapped;
        });
        const { config } = device();
        try {
          const usable = () => mappings.map((mapped, number) => [bars[number]?.index, mapped.read32(0) >= 0]);
          const all = (can: boolean) => bars.map(({ index }) => [index, can]);
          // Touched, so that only vfio_pci_zap_bars takes them away.
          expect(usable()).toEqual(all(true));
          config.memoryEnable = false;
          expect(usable()).toEqual(all(false));
          config.memoryEnable = true;
          expect(usable()).toEqual(all(true));
        } finally {
          config.memoryEnable = true;
          for (const mapped of mappings) mapped.unmap();
        }
      });

      it("is_of_no_use_in_d3hot", () => {
        const { config } = device();
        const pm = config.findCapability(PciCapabilityId.powerManagement);
        if (pm === undefined) skip({ reason: "the device has no power management", remedy: "use QEMU's igb" });
        const { index } = mappable();
        const mapped = raw().map(index);
        if (typeof mapped === "string") throw new Error(`BAR ${index} was not mapped: ${mapped}`);
        try {
          expect(mapped.read32(0)).toBeGreaterThanOrEqual(0);
          config.write16(pm.offset + PMCSR, D3_HOT);
          // By the mapping and by the file (__vfio_pci_memory_enabled).
          expect([mapped.read32(0), raw().read(index, 0, 4).result]).toEqual([EFAULT, "EIO"]);
          config.write16(pm.offset + PMCSR, 0);
          expect(mapped.read32(0)).toBeGreaterThanOrEqual(0);
        } finally {
          config.write16(pm.offset + PMCSR, 0);
          mapped.unmap();
        }
      });

      it("is_of_no_use_while_memory_space_is_off", () => {
        withPattern(({ bar, offset }) => {
          const mapped = raw().map(bar, { length: device().bar(bar).size });
          if (typeof mapped === "string") throw new Error(`the BAR was not mapped: ${mapped}`);
          const { config } = device();
          try {
            for (let round = 0; round < 2; round++) {
              expect(mapped.read32(offset)).toBe(PATTERN[0]);
              // Even pages that were touched before are out of reach (vfio_pci_zap_bars).
              config.memoryEnable = false;
              expectBusError(mapped, offset);
              config.memoryEnable = true;
            }
            expect(mapped.read32(offset)).toBe(PATTERN[0]);
          } finally {
            config.memoryEnable = true;
            mapped.unmap();
          }
        });
      });
    });
  });
}

const EFAULT = -14;

/** What the kernel says of a mapping of this process (VmFlags of /proc/self/smaps). */
function mappingFlags(address: bigint): readonly string[] {
  const smaps = readFileSync(systemPaths.proc("self", "smaps"), "utf8");
  const own = smaps.slice(smaps.search(new RegExp(`^0*${address.toString(16)}-`, "m")));
  return /^VmFlags: (.*)$/m.exec(own)?.[1]?.trim().split(" ") ?? [];
}

function expectBusError(mapped: NativeIo, offset: number): void {
  expect([mapped.read32(offset), mapped.write32(offset, 0)]).toEqual([EFAULT, EFAULT]);
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
