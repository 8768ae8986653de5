import {
  IOMMU_VFIO_IOAS,
  iommu_vfio_ioas,
  IOMMU_VFIO_IOAS_SET,
  VFIO_DMA_MAP_FLAG_READ as READ,
  VFIO_DMA_MAP_FLAG_WRITE as WRITE,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
  VFIO_TYPE1_IOMMU,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { KernelAccess } from "../rigs/mock-iommu/kernel-access";
import { MockRig } from "../rigs/mock-iommu/mock-rig";
import {
  check_map,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
} from "../rigs/mock-iommu/test-command";
import { askKernel, askPlainly } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

const IOVA = 0x0200_0000n;
const PAGE = BigInt(PAGE_SIZE);
const PAGES = 4;

/**
 * Mappings that an unmap of a part cuts, in an iommufd that stands for a container of type 1 (iopt_area_split). The pieces are seen by the
 * kernel's own accesses, and by a page table that comes later.
 */
export function compatCutsSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_compat_cuts", () => {
    requireMode(mode);

    /** The rig's space as a container of type 1, with one mapping of the rig's four pages. */
    const withMapping = (flags: number, use: (rig: MockRig, access: KernelAccess) => void): void => {
      using rig = new MockRig(mode);
      const { file } = rig.door;
      const stand = { op: IOMMU_VFIO_IOAS_SET, ioas_id: rig.ioas };
      expect(askKernel(file, { IOMMU_VFIO_IOAS }, iommu_vfio_ioas, stand).code).toBe("ok");
      expect(askPlainly(file, { VFIO_SET_IOMMU }, VFIO_TYPE1_IOMMU)).toBe("ok");
      const map = { flags, vaddr: rig.memory.address, iova: IOVA, size: PAGES * PAGE_SIZE };
      expect(askKernel(file, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, map).code).toBe("ok");
      for (let page = 0; page < PAGES; page++) rig.bytes[page * PAGE_SIZE] = 0x40 + page;
      using access = new KernelAccess(rig, 0);
      use(rig, access);
    };
    const unmap = (rig: MockRig, page: number, pages = 1) => {
      const values = { iova: IOVA + BigInt(page) * PAGE, size: pages * PAGE_SIZE };
      const layout = vfio_iommu_type1_dma_unmap;
      const { code, view } = askKernel(rig.door.file, { VFIO_IOMMU_UNMAP_DMA }, layout, values);
      return code === "ok" ? Number(layout.fields.size.get(view)) / PAGE_SIZE : code;
    };
    /** The first byte of each page, or the errno. */
    const seen = (access: KernelAccess) =>
      Array.from({ length: PAGES }, (_, page) => {
        const { outcome, bytes } = access.read(IOVA + BigInt(page) * PAGE, 1, 0);
        return outcome === 0 ? bytes[0] : outcome;
      });
    const gone = "ENOENT";

    for (const [name, page, left] of [
      ["first", 0, [gone, 0x41, 0x42, 0x43]],
      ["second", 1, [0x40, gone, 0x42, 0x43]],
      ["last", 3, [0x40, 0x41, 0x42, gone]],
    ] as const) {
      it(`without_its_${name}_page_the_others_are_as_they_were`, () => {
        withMapping(READ | WRITE, (rig, access) => {
          expect(unmap(rig, page)).toBe(1);
          expect(seen(access)).toEqual(left);
        });
      });
    }

    it("pieces_keep_their_permissions", () => {
      withMapping(READ | WRITE, (rig, access) => {
        expect(unmap(rig, 1)).toBe(1);
        const write = (page: number) => access.write(IOVA + BigInt(page) * PAGE, Uint8Array.of(0x5a), 0);
        expect([0, 1, 2, 3].map(write)).toEqual([0, gone, 0, 0]);
        expect([0, 1, 2, 3].map((page) => rig.bytes[page * PAGE_SIZE])).toEqual([0x5a, 0x41, 0x5a, 0x5a]);
      });
      withMapping(READ, (rig, access) => {
        expect(unmap(rig, 1)).toBe(1);
        const write = (page: number) => access.write(IOVA + BigInt(page) * PAGE, Uint8Array.of(0x5a), 0);
        expect([0, 2, 3].map(write)).toEqual(["EPERM", "EPERM", "EPERM"]);
        expect(seen(access)).toEqual([0x40, gone, 0x42, 0x43]);
      });
    });

    it("pieces_are_in_a_page_table_that_comes_later", () => {
      withMapping(READ | WRITE, (rig) => {
        expect(unmap(rig, 1)).toBe(1);
        const table = rig.device().pageTable;
        const holds = (page: number) => {
          const place = { iova: IOVA + BigInt(page) * PAGE, length: PAGE_SIZE };
          const uptr = rig.memory.address + BigInt(page) * PAGE;
          return rig.test(IOMMU_TEST_OP_MD_CHECK_MAP, check_map, { id: table, ...place, uptr }).outcome;
        };
        expect([0, 1, 2, 3].map(holds)).toEqual([0, "EINVAL", 0, 0]);
        // It is cut, too, and each piece is unmapped for itself.
        expect(unmap(rig, 3)).toBe(1);
        expect([0, 2, 3].map(holds)).toEqual([0, 0, "EINVAL"]);
        expect([unmap(rig, 0), unmap(rig, 2)]).toEqual([1, 1]);
        expect([0, 2].map(holds)).toEqual(["EINVAL", "EINVAL"]);
      });
    });

    it("pieces_keep_their_pins", () => {
      withMapping(READ | WRITE, (rig, access) => {
        rig.bytes.fill(1);
        rig.device();
        const pinned = () => [0, 1, 2, 3].map((page) => access.pinsOf(1, page));
        expect(pinned()).toEqual([true, true, true, true]);
        expect([unmap(rig, 1), pinned()]).toEqual([1, [true, false, true, true]]);
        expect([unmap(rig, 2), pinned()]).toEqual([1, [true, false, false, true]]);
      });
    });

    it("what_the_kernel_pins_is_not_cut", () => {
      withMapping(READ | WRITE, (rig, access) => {
        rig.bytes.fill(1);
        using pins = new KernelAccess(rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
        const id = pins.pin(IOVA + 3n * PAGE, PAGE_SIZE, { page: 3 }).need("out_access_pages_id");
        // iopt_area_split
        expect(unmap(rig, 1)).toBe("EINVAL");
        expect(access.read(IOVA + PAGE, 1, 0).outcome).toBe(0);
        expect([pins.unpin(id), unmap(rig, 1)]).toEqual([0, 1]);
      });
    });

    it("a_part_in_the_middle_leaves_two_pieces", () => {
      withMapping(READ | WRITE, (rig, access) => {
        expect(unmap(rig, 1, 2)).toBe(2);
        expect(seen(access)).toEqual([0x40, gone, gone, 0x43]);
        // Over the hole and both pieces.
        expect(unmap(rig, 0, PAGES)).toBe(2);
        expect(seen(access)).toEqual([gone, gone, gone, gone]);
      });
    });
  });
}
