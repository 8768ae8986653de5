import { DmaMemory } from "@vfio-selftests/core";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING as DIRTY,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE as ENABLE,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  iommu_hwpt_get_dirty_bitmap,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  iommu_hwpt_set_dirty_tracking,
  struct,
  u32,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { MockRig } from "../rigs/mock-iommu/mock-rig";
import { dirty, IOMMU_TEST_OP_DIRTY } from "../rigs/mock-iommu/test-command";
import type { SuiteTarget } from "../suite-target";

const IOVA = 0x0200_0000n;
const PAGE = BigInt(PAGE_SIZE);
const PAGES = 16;
/** Of the pages; those at both ends of both bytes of their bitmap, and others. */
const WRITTEN = [0, 2, 7, 8, 13, 15] as const;
const GUARD = 0xa5;
const RESERVED = struct(iommu_hwpt_get_dirty_bitmap.size, {
  ...iommu_hwpt_get_dirty_bitmap.fields,
  __reserved: u32(12),
});

/** The bitmap in which IOMMU_HWPT_GET_DIRTY_BITMAP tells written pages (iova_bitmap.c): which bit, where in the user's memory. */
export function dirtyBitmapSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_dirty_bitmap", () => {
    requireMode(mode);

    /** A page table of sixteen mappings of a page each, of which the mock device has written some, and memory for bitmaps. */
    const withWritten = (use: (read: Read, bytes: Uint8Array) => void): void => {
      using memory = DmaMemory.allocate(3 * PAGE_SIZE);
      using rig = new MockRig(mode);
      const device = rig.device();
      for (let page = 0; page < PAGES; page++) {
        rig.iommu.map(rig.memory, { iova: IOVA + BigInt(page) * PAGE, length: PAGE_SIZE });
      }
      const table = rig.pageTable(device, { flags: DIRTY }).need("out_hwpt_id");
      const range = { iova: IOVA, length: PAGES * PAGE_SIZE, page_size: PAGE_SIZE };
      const track = { hwpt_id: table, flags: ENABLE };
      expect(rig.raw.call({ IOMMU_HWPT_SET_DIRTY_TRACKING }, iommu_hwpt_set_dirty_tracking, track).outcome).toBe(0);
      const written = bitmapOf(WRITTEN, 8);
      expect(rig.test(IOMMU_TEST_OP_DIRTY, dirty, { id: table, ...range }, { uptr: written }).outcome).toBe(0);
      use((values = {}, offset = 0) => {
        const data = memory.address + BigInt(offset);
        return rig.raw.call({ IOMMU_HWPT_GET_DIRTY_BITMAP }, RESERVED, { hwpt_id: table, ...range, data, ...values })
          .outcome;
      }, new Uint8Array(memory.buffer));
    };

    for (const [name, offset] of Object.entries({
      with_a_page: 0,
      with_a_word: 8,
      with_any_byte: 3,
      with_the_last_word_of_a_page: PAGE_SIZE - 8,
      with_the_last_byte_of_a_page: PAGE_SIZE - 1,
    })) {
      it(`begins_${name}`, () => {
        withWritten((read, bytes) => {
          bytes.fill(GUARD);
          const start = PAGE_SIZE + offset;
          const bitmap = bytes.subarray(start, start + PAGES / 8).fill(0);
          expect(read({}, start)).toBe(0);
          expect([...bitmap]).toEqual([...bitmapOf(WRITTEN, PAGES / 8)]);
          bitmap.fill(GUARD);
          expect(bytes.every((byte) => byte === GUARD)).toBe(true);
        });
      });
    }

    it("tells_and_clears_nothing_beyond_its_range", () => {
      withWritten((read, bytes) => {
        const [low, high] = [WRITTEN.filter((page) => page < 8), WRITTEN.filter((page) => page >= 8)];
        expect(read({ length: 8 * PAGE_SIZE })).toBe(0);
        expect([...bytes.subarray(0, 8)]).toEqual([...bitmapOf(low, 8)]);
        bytes.fill(0);
        expect(read()).toBe(0);
        expect([...bytes.subarray(0, 8)]).toEqual([...bitmapOf(high, 8)]);
      });
    });

    it("has_a_bit_for_each_larger_page", () => {
      for (const factor of [2, 4, 8]) {
        withWritten((read, bytes) => {
          expect(read({ page_size: factor * PAGE_SIZE })).toBe(0);
          const pages = WRITTEN.map((page) => Math.floor(page / factor));
          expect({ factor, bits: [...bytes.subarray(0, 8)] }).toEqual({ factor, bits: [...bitmapOf(pages, 8)] });
        });
      }
    });

    it("has_several_bits_for_a_page_of_smaller_ones", () => {
      for (const factor of [2, 8]) {
        withWritten((read, bytes) => {
          expect(read({ page_size: PAGE_SIZE / factor })).toBe(0);
          // One entry of the page table sets them all (iova_bitmap_set).
          const bits = WRITTEN.flatMap((page) => Array.from({ length: factor }, (_, at) => page * factor + at));
          const length = (PAGES / 8) * factor;
          expect({ factor, bits: [...bytes.subarray(0, length)] }).toEqual({
            factor,
            bits: [...bitmapOf(bits, length)],
          });
        });
      }
    });

    it("tells_part_of_the_pages", () => {
      withWritten((read, bytes) => {
        const bitmap = bytes.subarray(0, 8);
        // The first bit stands for the range's first page, wherever that is.
        expect(read({ iova: IOVA + 7n * PAGE, length: 3 * PAGE_SIZE })).toBe(0);
        expect([...bitmap]).toEqual([...bitmapOf([0, 1], 8)]);
        // The others are as they were.
        bitmap.fill(0);
        expect(read()).toBe(0);
        expect([...bitmap]).toEqual([...bitmapOf([0, 2, 13, 15], 8)]);
      });
    });

    it("keeps_bits_that_are_set_already", () => {
      withWritten((read, bytes) => {
        bytes.set(bitmapOf([1, 4], 8));
        expect(read()).toBe(0);
        expect([...bytes.subarray(0, 8)]).toEqual([...bitmapOf([1, 4, ...WRITTEN], 8)]);
      });
    });

    it("is_refused_for_parts_of_its_pages", () => {
      withWritten((read, bytes) => {
        const bitmap = bytes.subarray(0, 8);
        const larger = { page_size: 2 * PAGE_SIZE };
        // iommufd_check_iova_range: both ends, by the user's pages and by the IOMMU's.
        for (const values of [
          { ...larger, iova: IOVA + PAGE, length: 3 * PAGE_SIZE },
          { ...larger, length: 3 * PAGE_SIZE },
          { ...larger, iova: IOVA + PAGE, length: 4 * PAGE_SIZE },
          { iova: IOVA + 1n },
          { length: PAGE_SIZE + 1 },
          { page_size: 0 },
          { length: 0 },
        ]) {
          expect([values, read(values)]).toEqual([values, "EINVAL"]);
        }
        expect(read({ __reserved: 1 })).toBe("EOPNOTSUPP");
        expect([...bitmap]).toEqual(new Array(8).fill(0));
        // No refused request took anything.
        expect(read()).toBe(0);
        expect([...bitmap]).toEqual([...bitmapOf(WRITTEN, 8)]);
      });
    });
  });
}

/** Asks for the bitmap, `offset` bytes from the start of the memory for bitmaps. */
type Read = (values?: object, offset?: number) => number | string;

function bitmapOf(pages: readonly number[], bytes: number): Uint8Array {
  const bitmap = new Uint8Array(bytes);
  for (const page of pages) bitmap[page >> 3] = (bitmap[page >> 3] ?? 0) | (1 << (page & 7));
  return bitmap;
}
