import { DmaMemory, type IommuMode } from "@vfio-selftests/core";
import {
  VFIO_DMA_MAP_FLAG_READ as READ,
  VFIO_DMA_MAP_FLAG_VADDR as NEW_ADDRESS,
  VFIO_DMA_MAP_FLAG_WRITE as WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL as ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR as INVALIDATE,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP as GET,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START as START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP as STOP,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  VFIO_IOMMU_UNMAP_DMA,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture } from "@vfio-selftests/harness";
import { requireType1, vfioContainerModes } from "../rigs/iommu/require-type1";
import { wrappingRange } from "../rigs/kernel/wrapping-range";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import { takeOver } from "../rigs/ordinary-user/take-over";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import {
  askDirtyPages,
  type Bitmap,
  BITMAP_BYTES,
  bits,
  type DirtyRequest,
  unmapDirtyPages,
  words,
} from "../rigs/raw/dirty-pages";
import { GroupFiles } from "../rigs/raw/group-files";
import { enableVfs, vfAddress } from "../rigs/sriov/virtual-functions";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const BASE = 0x4000_0000n;
const PAGES = 70;
/** Another process starts, which takes seconds on an emulated machine. */
const TIMEOUT_MS = 120_000;
const BAD_ADDRESS = BigInt(NO_ADDRESS);
/** Above all that a process can have. */
const KERNELS_ADDRESS = 1n << 63n;

/** Without a range, all of the memory. */
type DirtyQuestion = Partial<DirtyRequest> & Pick<DirtyRequest, "flags">;

/** What type 1 offers for moving a program to another machine or to a new version of itself; iommufd has other ways. */
export function type1MigrationSuite(target: SuiteTarget): void {
  // Only VFIO's own container file: iommufd's has neither dirty bitmaps nor new addresses.
  const modes = vfioContainerModes(target);
  if (modes.length === 0) return;
  fixture("vfio_type1_migration", target, (address) => {
    eachMode({ modes: modes.filter(({ traits }) => traits.container?.type === 2) }, (mode) => {
      requireType1(mode);
      it("dirty_pages_are_those_that_a_device_may_have_written", () => {
        using space = new Type1Space(mode, address);
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect(space.map(BASE, PAGES)).toBe("ok");
        expect(space.dirty({ flags: GET }, bitmap)).toBe("EINVAL");
        expect(space.dirty({ flags: STOP }, bitmap)).toBe("ok");
        expect([space.dirty({ flags: START }, bitmap), space.dirty({ flags: START }, bitmap)]).toEqual(["ok", "ok"]);
        // Without help from the device every mapped page counts as written (update_user_bitmap).
        expect(space.dirty({ flags: GET }, bitmap)).toBe("ok");
        expect(bits(bitmap)).toEqual(range(0, PAGES));
        bitmap.fill(0);
        expect(space.dirty({ flags: GET }, bitmap)).toBe("ok");
        expect(bits(bitmap)).toEqual(range(0, PAGES));
        // Mappings that come later are tracked, too.
        expect(space.map(BASE + 80n * PAGE, 2)).toBe("ok");
        bitmap.fill(0);
        expect(space.dirty({ flags: GET, iova: BASE, size: 90n * PAGE }, bitmap)).toBe("ok");
        expect(bits(bitmap)).toEqual([...range(0, PAGES), ...range(80, 2)]);
        expect(space.dirty({ flags: STOP }, bitmap)).toBe("ok");
        expect(space.dirty({ flags: GET }, bitmap)).toBe("EINVAL");
      });

      it("dirty_pages_are_told_from_before_the_mapping", () => {
        using space = new Type1Space(mode, address);
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect(space.map(BASE, PAGES)).toBe("ok");
        expect(space.dirty({ flags: START }, bitmap)).toBe("ok");
        // The kernel shifts the mapping's bits and leaves the caller's bits before them. The test asks once: the kernel
        // keeps the shifted bits, and next time reports pages behind the mapping
        // (docs/kernel-findings/type1-dirty-bitmap.md).
        bitmap[0] = 0b10;
        expect(space.dirty({ flags: GET, iova: BASE - 3n * PAGE, size: 73n * PAGE }, bitmap)).toBe("ok");
        expect(bits(bitmap)).toEqual([1, ...range(3, PAGES)]);
      });

      it("dirty_pages_are_told_by_unmap", () => {
        using space = new Type1Space(mode, address);
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect(space.map(BASE, 5)).toBe("ok");
        const unmap = (pageSize = PAGE) => space.unmapDirty(BASE, 5n * PAGE, bitmap, pageSize);
        expect(unmap()).toEqual({ code: "EINVAL", bytes: 5n * PAGE });
        expect(space.dirty({ flags: START }, bitmap)).toBe("ok");
        expect(unmap(2n * PAGE).code).toBe("EINVAL");
        // What only loses its address is not unmapped (vfio_iommu_type1_unmap_dma).
        expect(space.unmapDirty(BASE, 5n * PAGE, bitmap, PAGE, INVALIDATE).code).toBe("EINVAL");
        expect(unmap()).toEqual({ code: "ok", bytes: 5n * PAGE });
        expect(bits(bitmap)).toEqual(range(0, 5));
        expect(space.map(BASE, 5)).toBe("ok");
      });

      it("dirty_pages_of_several_mappings_are_told_by_one_unmap", () => {
        using space = new Type1Space(mode, address);
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect([space.map(BASE, 3), space.map(BASE + 8n * PAGE, 2), space.map(BASE + 64n * PAGE, 1)]).toEqual([
          "ok",
          "ok",
          "ok",
        ]);
        expect(space.dirty({ flags: START }, bitmap)).toBe("ok");
        // Each mapping's bits have their place from the unmap's start on, not from its own.
        expect(space.unmapDirty(BASE, BigInt(PAGES) * PAGE, bitmap, PAGE)).toEqual({ code: "ok", bytes: 6n * PAGE });
        expect(bits(bitmap)).toEqual([0, 1, 2, 8, 9, 64]);
      });

      it("bad_requests_for_dirty_pages_are_refused", () => {
        using space = new Type1Space(mode, address);
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect(space.map(BASE, PAGES)).toBe("ok");
        expect(space.dirty({ flags: START }, bitmap)).toBe("ok");
        // vfio_iommu_type1_dirty_pages, verify_bitmap_size, vfio_iova_dirty_bitmap
        expectAnswers<DirtyQuestion>(
          {
            size_of_structure_too_small: [{ flags: GET, said: 7 }, "EINVAL"],
            no_range: [{ flags: GET, said: 8 }, "EINVAL"],
            half_a_range: [{ flags: GET, said: 47 }, "EINVAL"],
            unknown_flag: [{ flags: GET | 8 }, "EINVAL"],
            start_and_stop: [{ flags: START | STOP }, "EINVAL"],
            stop_and_get: [{ flags: STOP | GET }, "EINVAL"],
            no_bytes: [{ flags: GET, size: 0n }, "EINVAL"],
            wraps: [{ flags: GET, iova: (1n << 64n) - PAGE, size: 2n * PAGE }, wrappingRange({ isType1: true })],
            other_page_size: [{ flags: GET, pageSize: 2n * PAGE }, "EINVAL"],
            iova_in_a_page: [{ flags: GET, iova: BASE + 1n }, "EINVAL"],
            part_of_a_page: [{ flags: GET, size: BigInt(PAGES) * PAGE + 1n }, "EINVAL"],
            bitmap_too_small: [{ flags: GET, bitmapBytes: 8n }, "EINVAL"],
            no_bitmap: [{ flags: GET, bitmapBytes: 0n }, "EINVAL"],
            bitmap_too_large: [{ flags: GET, bitmapBytes: (1n << 28n) + 1n }, "EINVAL"],
            from_its_middle: [{ flags: GET, iova: BASE + PAGE, size: BigInt(PAGES - 1) * PAGE }, "EINVAL"],
            to_its_middle: [{ flags: GET, size: BigInt(PAGES - 1) * PAGE }, "EINVAL"],
            the_right_one: [{ flags: GET }, "ok"],
          },
          (request) => space.dirty(request, bitmap),
        );
      });

      it("dirty_pages_need_a_bitmap_that_can_be_written", () => {
        using space = new Type1Space(mode, address);
        const size = BigInt(PAGES) * PAGE;
        expect(space.map(BASE, PAGES)).toBe("ok");
        expect(space.dirty({ flags: START }, BAD_ADDRESS)).toBe("ok");
        expect(space.dirty({ flags: GET }, BAD_ADDRESS)).toBe("EFAULT");
        // access_ok
        expect(space.dirty({ flags: GET }, KERNELS_ADDRESS)).toBe("EINVAL");
        expect(space.unmapDirty(BASE, size, KERNELS_ADDRESS, PAGE).code).toBe("EINVAL");
        expect(space.unmapDirty(BASE, size, BAD_ADDRESS, PAGE).code).toBe("EFAULT");
        // What could not be told stays mapped.
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect(space.unmapDirty(BASE, size, bitmap, PAGE)).toEqual({ code: "ok", bytes: size });
        expect(bits(bitmap)).toEqual(range(0, PAGES));
        expect(askPlainly(space.files.container, { VFIO_IOMMU_DIRTY_PAGES }, NO_ADDRESS)).toBe("EFAULT");
      });
    });

    eachMode({ modes: modes.filter(({ traits }) => traits.container?.type === 1) }, (mode) => {
      requireType1(mode);
      it("dirty_pages_are_told_by_version_2_alone", () => {
        using space = new Type1Space(mode, address);
        const bitmap = new Uint8Array(BITMAP_BYTES);
        expect(space.map(BASE, PAGES)).toBe("ok");
        for (const flags of [START, GET, STOP]) expect(space.dirty({ flags }, bitmap)).toBe("EACCES");
        // Tracking never began.
        expect(space.unmapDirty(BASE, BigInt(PAGES) * PAGE, bitmap, PAGE).code).toBe("EINVAL");
        expect(bits(bitmap)).toEqual([]);
      });
    });

    eachMode({ modes }, (mode) => {
      requireType1(mode);
      it("memory_gets_a_new_address_and_stays_where_it_is", () => {
        using space = new Type1Space(mode, address);
        const whole = { iova: BASE, size: 4n * PAGE };
        expect(space.map(BASE, 4)).toBe("ok");
        // vfio_dma_do_map replaces only an address that was invalidated, and only the whole mapping's.
        expect(space.setAddress(whole)).toBe("EINVAL");
        expect(space.unmap({ flags: INVALIDATE, ...whole })).toEqual({ code: "ok", bytes: 4n * PAGE });
        expect(space.map(BASE, 4)).toBe("EEXIST");
        expect(space.unmap({ flags: INVALIDATE, ...whole }).code).toBe("EINVAL");
        expect(space.setAddress({ iova: BASE, size: PAGE })).toBe("EINVAL");
        expect(space.setAddress({ iova: BASE + PAGE, size: 3n * PAGE })).toBe("EINVAL");
        expect(space.setAddress({ iova: BASE + 8n * PAGE, size: PAGE })).toBe("ENOENT");
        expect(space.setAddress(whole)).toBe("ok");
        expect(space.setAddress(whole)).toBe("EINVAL");
        expect(space.unmap({ flags: 0, ...whole })).toEqual({ code: "ok", bytes: 4n * PAGE });
        expect(space.setAddress(whole)).toBe("ENOENT");
      });

      it("refused_invalidation_leaves_the_others_addresses", () => {
        const areas = [0n, 1n, 2n].map((page) => ({ iova: BASE + page * PAGE, size: PAGE }));
        for (const invalid of areas) {
          using space = new Type1Space(mode, address);
          expect(areas.map(({ iova }) => space.map(iova, 1))).toEqual(["ok", "ok", "ok"]);
          expect(space.unmap({ flags: INVALIDATE, ...invalid }).code).toBe("ok");
          expect(space.unmap({ flags: INVALIDATE | ALL, iova: 0n, size: 0n })).toEqual({ code: "EINVAL", bytes: 0n });
          // Only the one that was invalid before takes a new address (vfio_dma_do_unmap restores the rest).
          expect(areas.map((area) => space.setAddress(area))).toEqual(
            areas.map((area) => (area === invalid ? "ok" : "EINVAL")),
          );
        }
      });

      it("a_new_owner_is_charged_for_the_memory_that_it_takes_over", () => {
        using space = new Type1Space(mode, address);
        const before = lockedMemory().locked;
        expect(space.map(BASE, PAGES)).toBe("ok");
        expect(lockedMemory().locked - before).toBe(PAGES);
        expect(space.unmap({ flags: INVALIDATE, iova: BASE, size: BigInt(PAGES) * PAGE }).code).toBe("ok");
        // vfio_change_dma_owner: a program's new version, in another process, takes what the old one has mapped.
        const { answer, locked, unmapped } = takeOver(space.files.container, BASE, { pages: PAGES });
        expect({ answer, locked }).toEqual({ answer: "ok", locked: PAGES });
        expect(lockedMemory().locked - before).toBe(0);
        expect(unmapped).toEqual({ answer: "ok", locked: 0 });
      });

      it(
        "an_ordinary_user_takes_over_no_more_than_its_limit",
        () => {
          using space = new Type1Space(mode, address);
          const whole = { iova: BASE, size: BigInt(PAGES) * PAGE };
          const before = lockedMemory().locked;
          expect(space.map(BASE, PAGES)).toBe("ok");
          expect(space.unmap({ flags: INVALIDATE, ...whole }).code).toBe("ok");
          const request = { pages: PAGES, limitPages: PAGES - 1 };
          expect(takeOver(space.files.container, BASE, request)).toEqual({ answer: "ENOMEM", locked: 0 });
          // The old owner is charged as before, and may still give it an address.
          expect([lockedMemory().locked - before, space.setAddress(whole)]).toEqual([PAGES, "ok"]);
          expect(space.unmap({ flags: 0, ...whole })).toEqual({ code: "ok", bytes: whole.size });
          expect(lockedMemory().locked - before).toBe(0);
        },
        TIMEOUT_MS,
      );

      it("memory_without_an_address_can_be_unmapped", () => {
        using space = new Type1Space(mode, address);
        expect([space.map(BASE, 1), space.map(BASE + PAGE, 1)]).toEqual(["ok", "ok"]);
        expect(space.unmap({ flags: INVALIDATE | ALL, iova: 0n, size: 0n })).toEqual({ code: "ok", bytes: 2n * PAGE });
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n })).toEqual({ code: "ok", bytes: 2n * PAGE });
        // No trace of it is left: a group can leave and come back (vfio_iommu_type1_attach_group).
        expect(space.map(BASE, 1)).toBe("ok");
        expect([space.files.unsetContainer(), space.files.setContainer(), space.files.setIommu()]).toEqual([
          "ok",
          "ok",
          "ok",
        ]);
      });

      it("a_group_that_memory_without_an_address_keeps_out_stays_free_and_may_come_later", () => {
        using _vfs = enableVfs(address, 1);
        using space = new Type1Space(mode, address);
        using vf = new GroupFiles(mode, vfAddress(address));
        const shared = space.files.container.descriptor("VFIO_GROUP_SET_CONTAINER");
        expect(space.map(BASE, 1)).toBe("ok");
        expect(space.unmap({ flags: INVALIDATE | ALL, iova: 0n, size: 0n }).code).toBe("ok");
        // vfio_iommu_type1_attach_group could have to pin pages whose address nobody knows.
        expect(vf.setContainer(shared)).toBe("EBUSY");
        // vfio_container_attach_group has given the group's DMA ownership back.
        expect([vf.setContainer(), vf.setIommu(), vf.unsetContainer()]).toEqual(["ok", "ok", "ok"]);
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n }).code).toBe("ok");
        // vfio_remove_dma no longer counts it.
        expect([vf.setContainer(shared), vf.unsetContainer()]).toEqual(["ok", "ok"]);
      });
    });
  });
}

/** Pages from `first` on. */
function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** A container with its IOMMU, and memory. */
class Type1Space implements Disposable {
  readonly files: GroupFiles;
  readonly #memory = DmaMemory.allocate(PAGES * PAGE_SIZE, { backing: "memfd" });

  constructor(mode: IommuMode, address: string) {
    this.files = new GroupFiles(mode, address);
    expect([this.files.setContainer(), this.files.setIommu()]).toEqual(["ok", "ok"]);
  }

  map(iova: bigint, pages: number): string {
    const values = { flags: READ | WRITE, vaddr: this.#memory.address, iova, size: BigInt(pages) * PAGE };
    return askKernel(this.files.container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, values).code;
  }

  /** VFIO_DMA_MAP_FLAG_VADDR. */
  setAddress(area: { iova: bigint; size: bigint }): string {
    const values = { flags: NEW_ADDRESS, vaddr: this.#memory.address, ...area };
    return askKernel(this.files.container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, values).code;
  }

  unmap({ flags, iova, size }: { flags: number; iova: bigint; size: bigint }): { code: string; bytes: bigint } {
    const argument = words([(BigInt(flags) << 32n) | 24n, iova, size]);
    const code = askPlainly(this.files.container, { VFIO_IOMMU_UNMAP_DMA }, argument);
    return { code, bytes: new BigUint64Array(argument.buffer)[2] ?? 0n };
  }

  /** Unmaps, and asks for the bitmap of the pages that the device may have written. */
  unmapDirty(iova: bigint, size: bigint, bitmap: Bitmap, pageSize: bigint, flags = 0): { code: string; bytes: bigint } {
    return unmapDirtyPages(this.files.container, { flags, iova, size, pageSize }, bitmap);
  }

  dirty(request: DirtyQuestion, bitmap: Bitmap): string {
    return askDirtyPages(this.files.container, { iova: BASE, size: BigInt(PAGES) * PAGE, ...request }, bitmap);
  }

  [Symbol.dispose](): void {
    this.files[Symbol.dispose]();
    this.#memory.close();
  }
}
