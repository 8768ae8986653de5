import { DmaMemory } from "@vfio-selftests/core";
import { hugePageCounts } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "@vfio-selftests/core/uapi";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { allocateOrSkip } from "../rigs/memory/allocate-or-skip";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { KernelAccess } from "../rigs/mock-iommu/kernel-access";
import { expectReadsAndWrites, IOVA, type PageRig, PAGES } from "../rigs/mock-iommu/page-rig";

const FLAGS = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA;
const HUGE_PAGE = 2 * 1024 ** 2;
const LENGTH = PAGES * PAGE_SIZE;
/** Where mappings of files begin: inside of a huge page, over the end of one, in the second, and with half a page. */
const STARTS = {
  start: 0,
  middle: 3 * PAGE_SIZE,
  end: HUGE_PAGE - 5 * PAGE_SIZE,
  second: HUGE_PAGE + 7 * PAGE_SIZE,
  half: HUGE_PAGE - PAGE_SIZE / 2,
} as const;

/** Pages of files: which part of a file a mapping leads to, with pages of either size (pin_memfd_pages). */
export function fileMotionTests(withPages: (use: (pages: PageRig) => void) => void): void {
  it("file_serves_devices_pins_and_the_kernel", () => {
    withPages((pages) => {
      requireMapFile(pages.rig.door);
      using memory = DmaMemory.allocate(LENGTH, { backing: "memfd" });
      using access = new KernelAccess(pages.rig, 0);
      const bytes = new Uint8Array(memory.buffer);
      bytes.fill(1);
      const { rig } = pages;
      mapFile(pages, memory, 0);
      expectReadsAndWrites(access, bytes);
      const pin = pages.pin(3, 7);
      const device = rig.device();
      const table = rig.pageTable(device).need("out_hwpt_id");
      for (const id of [device.pageTable, table]) expect(pages.holdsAt(id, memory.address, memory.length)).toBe(0);
      expectReadsAndWrites(access, bytes);
      pages.unpin(pin);
      expect(pages.unmap()).toBe("ok");
      expect(pages.holdsAt(table, memory.address, PAGE_SIZE)).toBe("EINVAL");
    });
  });

  for (const [name, backing] of [
    ["file", "memfd"],
    ["huge_file", "memfd-2m"],
  ] as const) {
    it(`${name}_is_mapped_from_any_place`, () => {
      const free = () => hugePageCounts(HUGE_PAGE)?.free;
      const before = free();
      {
        using memory = allocateOrSkip(2 * HUGE_PAGE, backing);
        for (const [place, start] of Object.entries(STARTS)) {
          withPages((pages) => {
            using access = new KernelAccess(pages.rig, 0);
            const { rig } = pages;
            const at = memory.address + BigInt(start);
            const iova = mapFile(pages, memory, start);
            const holds = (id: number) => [place, pages.holdsAt(id, at, LENGTH, iova)];
            if (iova === IOVA) expectReadsAndWrites(access, new Uint8Array(memory.buffer, start, LENGTH));
            // A device comes while other pages of the file are pinned already, and a second table takes them from the first.
            const pin = iova === IOVA ? pages.pin(3, 7) : undefined;
            const device = rig.device();
            const table = rig.pageTable(device).need("out_hwpt_id");
            expect([holds(device.pageTable), holds(table)]).toEqual([
              [place, 0],
              [place, 0],
            ]);
            if (pin !== undefined) pages.unpin(pin);
            expect(pages.file.unmap(pages.ioas, iova, BigInt(LENGTH)).code).toBe("ok");
            expect(holds(table)).toEqual([place, "EINVAL"]);
          });
        }
      }
      // Nothing holds the pages of the file when its descriptors are closed.
      expect(free()).toBe(before);
    });
  }
}

/** Maps pages of the file from `start`, which may be half a page, and returns the IOVA. */
function mapFile({ ioas, rig }: PageRig, { file }: DmaMemory, start: number): bigint {
  const iova = IOVA + BigInt(start % PAGE_SIZE);
  const values = {
    flags: FLAGS,
    ioas_id: ioas,
    fd: file?.fd ?? -1,
    start: (file?.offset ?? 0) + start,
    length: LENGTH,
    iova,
  };
  expect(rig.raw.call({ IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values).outcome).toBe(0);
  return iova;
}
