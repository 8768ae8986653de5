import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { TruncatedFile } from "../rigs/memory/truncated-file";
import { KernelAccess } from "../rigs/mock-iommu/kernel-access";
import { MockRig } from "../rigs/mock-iommu/mock-rig";
import { expectReadsAndWrites, IOVA, PageRig, PAGES, range, WHOLE_LIMIT } from "../rigs/mock-iommu/page-rig";
import {
  add_reserved,
  IOMMU_TEST_OP_ADD_RESERVED,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  memory_limit,
  mock_domain,
} from "../rigs/mock-iommu/test-command";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import type { SuiteTarget } from "../suite-target";
import { contiguousMotionTests } from "./contiguous-motion";
import { fileMotionTests } from "./file-motion";

const PAGE = BigInt(PAGE_SIZE);
const READ_WRITE_FIXED = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA;
const EVERYTHING = { start: 0n, last: (1n << 64n) - 1n };
/** Pages of the mock IOMMU. */
const HALF_PAGE = PAGE / 2n;
/** The kernel's own limit, and one that makes it move a few pages at a time. */
const LIMITS = { at_once: WHOLE_LIMIT, a_few_at_a_time: 3 * 12 } as const;

/**
 * Where iommufd gets pages from when devices and the kernel's own accesses come and go: from the process, from another page
 * table, from what is pinned already (drivers/iommu/iommufd/pages.c). On the kernel's mock IOMMU, which tells of each page.
 */
export function pageMotionSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_page_motion", () => {
    requireMode(mode);

    for (const [name, limit] of Object.entries(LIMITS)) {
      describe(name, () => {
        const withPages = (use: (pages: PageRig) => void): void => {
          using pages = new PageRig(mode, limit);
          use(pages);
        };

        it("device_takes_over_what_is_pinned_already", () => {
          withPages((pages) => {
            pages.map();
            const [low, high] = [pages.pin(2, 5), pages.pin(10, 3)];
            expect(pages.pinned()).toEqual([...range(2, 5), ...range(10, 3)]);
            const device = pages.rig.device();
            expect(pages.holds(device.pageTable)).toBe(0);
            expect(pages.pinned()).toEqual(range(0, PAGES));
            pages.unpin(low);
            expect(pages.pinned()).toEqual(range(0, PAGES));
            pages.remove(device);
            expect(pages.pinned()).toEqual(range(10, 3));
            pages.unpin(high);
            expect(pages.pinned()).toEqual([]);
          });
        });

        it("each_page_counts_once_whoever_pins_it", () => {
          withPages((pages) => {
            const before = lockedMemory().pinned;
            const steps: Readonly<Record<string, () => unknown>> = {
              mapped: () => pages.map(),
              pinned: () => (low = pages.pin(2, 5)),
              pinned_with_some_of_the_same: () => (high = pages.pin(4, 4)),
              device_came: () => (device = pages.rig.device()),
              unpinned: () => pages.unpin(low),
              device_went: () => pages.remove(device),
              unpinned_too: () => pages.unpin(high),
            };
            let [low, high, device] = [0, 0, { id: 0, test: 0, pageTable: 0 }];
            // iopt_pages_update_pinned
            const counted = Object.entries(steps).map(([step, take]) => {
              take();
              return [step, lockedMemory().pinned - before];
            });
            expect(counted).toEqual([
              ["mapped", 0],
              ["pinned", 5],
              ["pinned_with_some_of_the_same", 6],
              ["device_came", PAGES],
              ["unpinned", PAGES],
              ["device_went", 4],
              ["unpinned_too", 0],
            ]);
          });
        });

        it("pins_outlive_the_device", () => {
          withPages((pages) => {
            const device = pages.rig.device();
            pages.map();
            const pins = [pages.pin(0, 1), pages.pin(5, 8), pages.pin(9, 10), pages.pin(PAGES - 1, 1)];
            const kept = [0, ...range(5, 14), PAGES - 1];
            pages.remove(device);
            expect(pages.pinned()).toEqual(kept);
            // Pages between those that are pinned are pinned anew.
            const across = pages.pin(3, 20);
            expect(pages.pinned()).toEqual([0, ...range(3, 20), PAGES - 1]);
            const second = pages.rig.device();
            expect([pages.holds(second.pageTable), pages.pinned().length]).toEqual([0, PAGES]);
            for (const pin of [...pins, across]) pages.unpin(pin);
            expect([pages.holds(second.pageTable), pages.pinned().length]).toEqual([0, PAGES]);
            expect(pages.unmap()).toBe("ok");
            expect(pages.pinned()).toEqual([]);
          });
        });

        it("second_page_table_gets_them_from_the_first", () => {
          withPages((pages) => {
            const { rig } = pages;
            const device = rig.device();
            pages.map();
            const table = rig.pageTable(device).need("out_hwpt_id");
            expect([pages.holds(device.pageTable), pages.holds(table), pages.pinned().length]).toEqual([0, 0, PAGES]);
            // The automatic table goes, and with it the one that the pages were kept in (storage_domain).
            expect(pages.move(device, table)).toBe(0);
            expect(pages.holds(device.pageTable)).toBe("ENOENT");
            expect([pages.holds(table), pages.pinned().length]).toEqual([0, PAGES]);
            const pin = pages.pin(4, 9);
            expect(pages.move(device, rig.ioas)).toBe(0);
            expect(rig.raw.destroy(table)).toBe(0);
            pages.unpin(pin);
            expect(pages.pinned().length).toBe(PAGES);
            pages.remove(device);
            expect(pages.pinned()).toEqual([]);
          });
        });

        it("both_page_tables_lose_what_is_unmapped", () => {
          withPages((pages) => {
            const { rig } = pages;
            const device = rig.device();
            const table = rig.pageTable(device).need("out_hwpt_id");
            pages.map();
            expect([pages.holds(device.pageTable), pages.holds(table)]).toEqual([0, 0]);
            expect(pages.unmap()).toBe("ok");
            expect([pages.holds(device.pageTable), pages.holds(table)]).toEqual(["EINVAL", "EINVAL"]);
            expect(pages.pinned()).toEqual([]);
          });
        });

        it("map_that_fails_late_leaves_nothing_in_any_table", () => {
          withPages((pages) => {
            const { rig, ioas } = pages;
            using halfThere = new TruncatedFile(PAGES, PAGES / 2);
            const device = rig.device();
            const table = rig.pageTable(device).need("out_hwpt_id");
            const request = { ioas, vaddr: halfThere.address, length: PAGES * PAGE_SIZE, iova: IOVA };
            expect(pages.file.map(request).code).toBe("EFAULT");
            const half = (PAGES / 2) * PAGE_SIZE;
            for (const id of [device.pageTable, table])
              expect(pages.holdsAt(id, halfThere.address, PAGE_SIZE)).toBe("EINVAL");
            expect(pages.pinnedAt(halfThere.address, PAGES / 2)).toEqual([]);
            expect(pages.file.map({ ...request, length: half }).code).toBe("ok");
            for (const id of [device.pageTable, table]) expect(pages.holdsAt(id, halfThere.address, half)).toBe(0);
          });
        });

        it("device_that_cannot_be_given_everything_is_not_attached", () => {
          withPages((pages) => {
            const { rig, ioas } = pages;
            using halfThere = new TruncatedFile(PAGES, PAGES / 2);
            pages.map();
            const other = IOVA + BigInt(PAGES) * PAGE;
            const length = PAGES * PAGE_SIZE;
            expect(pages.file.map({ ioas, vaddr: halfThere.address, length, iova: other }).code).toBe("ok");
            expect(rig.test(IOMMU_TEST_OP_MOCK_DOMAIN, mock_domain, { id: ioas }).outcome).toBe("EFAULT");
            // What came first in the space was pinned and mapped already (iopt_fill_domain).
            expect([pages.pinned(), pages.pinnedAt(halfThere.address, PAGES / 2)]).toEqual([[], []]);
            // Neither does the table's end limit the space (iopt_table_add_domain).
            expect(pages.file.ranges(ioas, 4)).toMatchObject({ alignment: 1n, ranges: [EVERYTHING] });
            halfThere.grow(PAGES);
            const device = rig.device();
            expect(pages.holds(device.pageTable)).toBe(0);
            expect(pages.holdsAt(device.pageTable, halfThere.address, length, other)).toBe(0);
          });
        });

        it("copy_that_fails_late_leaves_nothing", () => {
          withPages((pages) => {
            const { rig, file, ioas } = pages;
            using halfThere = new TruncatedFile(PAGES, PAGES / 2);
            const from = rig.door.newIoas().id;
            const device = rig.device();
            const [length, other] = [PAGES * PAGE_SIZE, IOVA + BigInt(PAGES) * PAGE];
            pages.map(from);
            expect(file.map({ ioas: from, vaddr: halfThere.address, length, iova: other }).code).toBe("ok");
            const places = { src_ioas_id: from, src_iova: IOVA, dst_ioas_id: ioas, dst_iova: IOVA };
            const copy = () => file.copy({ flags: READ_WRITE_FIXED, ...places, length: 2 * length }).code;
            // The first of the two mappings was in the table already (iopt_fill_domains_pages).
            expect(copy()).toBe("EFAULT");
            expect([pages.pinned(), pages.pinnedAt(halfThere.address, PAGES / 2)]).toEqual([[], []]);
            expect([pages.holds(device.pageTable), pages.unmap()]).toEqual(["EINVAL", "ENOENT"]);
            halfThere.grow(PAGES);
            expect([copy(), pages.holds(device.pageTable)]).toEqual(["ok", 0]);
            expect(pages.holdsAt(device.pageTable, halfThere.address, length, other)).toBe(0);
          });
        });

        it("second_table_that_cannot_be_given_everything_is_not_made", () => {
          withPages((pages) => {
            const { rig } = pages;
            const elsewhere = rig.door.newIoas().id;
            const device = rig.device({ attachTo: elsewhere });
            using halfThere = new TruncatedFile(PAGES, PAGES / 2);
            const length = PAGES * PAGE_SIZE;
            expect(pages.file.map({ ioas: pages.ioas, vaddr: halfThere.address, length, iova: IOVA }).code).toBe("ok");
            expect(rig.pageTable(device).outcome).toBe("EFAULT");
            expect(pages.move(device, pages.ioas)).toBe("EFAULT");
            expect(pages.pinnedAt(halfThere.address, PAGES / 2)).toEqual([]);
            // It stays where it was.
            pages.map(elsewhere);
            expect(pages.holds(device.pageTable)).toBe(0);
          });
        });

        it("parts_of_pages_are_mapped", () => {
          withPages((pages) => {
            const device = pages.rig.device();
            const start = pages.memory.address + HALF_PAGE;
            const iova = IOVA + HALF_PAGE;
            const length = (PAGES - 1) * PAGE_SIZE;
            expect(pages.file.map({ ioas: pages.ioas, vaddr: start, length, iova }).code).toBe("ok");
            expect(pages.holdsAt(device.pageTable, start, length, iova)).toBe(0);
            const table = pages.rig.pageTable(device).need("out_hwpt_id");
            expect(pages.holdsAt(table, start, length, iova)).toBe(0);
            expect(pages.holdsAt(table, pages.memory.address, Number(HALF_PAGE), IOVA)).toBe("EINVAL");
            expect(pages.holdsAt(table, pages.memory.address, Number(HALF_PAGE), iova + BigInt(length))).toBe("EINVAL");
            expect(pages.file.unmap(pages.ioas, iova, BigInt(length))).toEqual({ code: "ok", length: BigInt(length) });
            expect([pages.holdsAt(table, start, PAGE_SIZE, iova), pages.pinned()]).toEqual(["EINVAL", []]);
          });
        });

        it("kernel_reads_and_writes_what_a_device_has", () => {
          withPages((pages) => {
            using access = new KernelAccess(pages.rig, 0);
            pages.rig.device();
            pages.map();
            expectReadsAndWrites(access, new Uint8Array(pages.memory.buffer));
          });
        });

        fileMotionTests(withPages);
        contiguousMotionTests(withPages);
      });
    }

    it("few_bytes_are_too_few_to_move_pages_by", () => {
      using rig = new MockRig(mode);
      const limit = (bytes: number) => rig.test(IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT, memory_limit, { limit: bytes });
      expect(limit(11).outcome).toBe("EINVAL");
      expect(limit(LIMITS.at_once).outcome).toBe(0);
    });

    it("reserved_iovas_take_no_mapping", () => {
      using pages = new PageRig(mode, LIMITS.at_once);
      const { ioas, file } = pages;
      const reserve = (start: bigint, length: bigint) =>
        pages.rig.test(IOMMU_TEST_OP_ADD_RESERVED, add_reserved, { id: ioas, start, length }).outcome;
      const vaddr = pages.memory.address;
      expect(reserve(IOVA, PAGE)).toBe(0);
      expect(file.map({ ioas, vaddr, length: PAGE_SIZE, iova: IOVA }).code).toBe("EINVAL");
      expect(file.map({ ioas, vaddr, length: 2 * PAGE_SIZE, iova: IOVA - PAGE }).code).toBe("EINVAL");
      expect(file.map({ ioas, vaddr, length: PAGE_SIZE, iova: IOVA - PAGE }).code).toBe("ok");
      expect(file.map({ ioas, vaddr, length: PAGE_SIZE, iova: IOVA + PAGE }).code).toBe("ok");
      expect(file.ranges(ioas, 4).ranges).toEqual([
        { start: 0n, last: IOVA - 1n },
        { start: IOVA + PAGE, last: 2n ** 64n - 1n },
      ]);
      // What is mapped cannot be reserved any more, and what is reserved is not allowed.
      expect(reserve(IOVA + PAGE, PAGE)).toBe("EADDRINUSE");
      expect(file.allow(ioas, [{ start: IOVA, last: IOVA + PAGE - 1n }])).toBe("EADDRINUSE");
    });
  });
}
