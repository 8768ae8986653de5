import { DmaMemory, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  VFIO_DMA_MAP_FLAG_READ as READ,
  VFIO_DMA_MAP_FLAG_VADDR as VADDR,
  VFIO_DMA_MAP_FLAG_WRITE as WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL as ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP as GET_DIRTY,
  VFIO_DMA_UNMAP_FLAG_VADDR as INVALIDATE,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  VFIO_IOMMU_UNMAP_DMA,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture, knownKernelDefect, skip } from "@vfio-selftests/harness";
import { type KernelFileAccess, rawSpaceOf } from "@vfio-selftests/iommu-modes";
import { native, type NativeIo } from "@vfio-selftests/native";
import { ScatteredMemory } from "../rigs/dma/scattered-memory";
import { inModesOf } from "../rigs/iommu/modes-of";
import { wrappingRange } from "../rigs/kernel/wrapping-range";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { TruncatedFile } from "../rigs/memory/truncated-file";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import { type AnswerTable, expectAnswers } from "../rigs/raw/answer-table";
import { type Answer, askKernel } from "../rigs/raw/ask-kernel";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const SPACE_END = 1n << 64n;
/** Away from the first pages and from x86's MSI window. */
const BASE = 0x4000_0000n;
const PAGES = 8;
/** Type 1 flushes the IOTLB after each 512 regions of an unmap (VFIO_IOMMU_TLB_SYNC_MAX). */
const SCATTERED_PAGES = 2 * 512 + 100;
const UNKNOWN_FLAG = 1 << 3;
const BOTH = READ | WRITE;

/** A map of one page of the test's memory at `BASE`, except where a field says otherwise; `said` is argsz. */
interface MapRequest {
  readonly flags?: number;
  readonly vaddr?: bigint;
  readonly iova?: bigint;
  readonly size?: bigint;
  readonly said?: number;
}

interface UnmapRequest {
  readonly flags?: number;
  readonly iova?: bigint;
  readonly size?: bigint;
  readonly said?: number;
}

/**
 * VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA beyond what a well-behaved program asks. Two pieces of the kernel answer:
 * vfio_iommu_type1.c and iommufd's vfio_compat.c; their errnos differ in places.
 */
export function mapRequestsSuite(target: SuiteTarget): void {
  const containers = inModesOf(target, "container");
  fixture("vfio_map_requests", target, (address) => {
    eachMode(containers, (mode) => {
      it("bad_maps_are_refused", () => {
        using space = new ContainerSpace(mode, address);
        // iommufd_vfio_map_dma lets a map without access through to the page table, which warns and refuses it.
        knownKernelDefect(/WARNING: .*iommu_pt\.h:/, "docs/kernel-findings/compat-map-without-access.md");
        expectAnswers(badMaps(space), (request) => space.map(request).code);
        // None of them left anything.
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n }).bytes).toBe(0n);
      });

      it("maps_over_a_mapping_are_refused", () => {
        using space = new ContainerSpace(mode, address);
        const at = (page: bigint, pages: bigint): MapRequest => ({ iova: BASE + page * PAGE, size: pages * PAGE });
        expect(space.map(at(2n, 4n)).code).toBe("ok");
        // vfio_dma_do_map, iopt_check_iova.
        const table: AnswerTable<MapRequest> = {
          the_same: [at(2n, 4n), "EEXIST"],
          its_first_page: [at(2n, 1n), "EEXIST"],
          its_middle: [at(3n, 2n), "EEXIST"],
          its_last_page: [at(5n, 1n), "EEXIST"],
          over_its_start: [at(1n, 2n), "EEXIST"],
          over_its_end: [at(5n, 2n), "EEXIST"],
          around_it: [at(1n, 6n), "EEXIST"],
          just_before: [at(1n, 1n), "ok"],
          just_behind: [at(6n, 1n), "ok"],
        };
        expectAnswers(table, (request) => space.map(request).code);
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n }).bytes).toBe(6n * PAGE);
      });

      it("maps_of_memory_that_is_not_there_leave_nothing", () => {
        using space = new ContainerSpace(mode, address);
        using halfThere = new TruncatedFile(PAGES, PAGES / 2);
        const before = pinnedPages();
        // vaddr_get_pfns, pin_user_pages: EFAULT; the pages before the hole were pinned and mapped already.
        expect(space.map({ vaddr: 0n }).code).toBe("EFAULT");
        expect(space.map({ vaddr: halfThere.address, size: BigInt(PAGES) * PAGE }).code).toBe("EFAULT");
        expect(pinnedPages()).toBe(before);
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n }).bytes).toBe(0n);
        const half = BigInt(PAGES / 2) * PAGE;
        expect(space.map({ vaddr: halfThere.address, size: half }).code).toBe("ok");
        expect(pinnedPages()).toBe(before + PAGES / 2);
        expect(space.unmap({ size: half }).bytes).toBe(half);
        expect(pinnedPages()).toBe(before);
      });

      it("memory_that_the_process_cannot_write_is_mapped_for_reading_only", () => {
        using space = new ContainerSpace(mode, address);
        const io = native.mapIo({
          fd: -1,
          length: PAGE_SIZE,
          prot: PROT_READ,
          flags: MAP_PRIVATE | MAP_ANONYMOUS,
        });
        if (typeof io === "number") throw new Error(`mmap: ${io}`);
        try {
          const request = { vaddr: io.address, size: PAGE };
          expect(space.map({ ...request, flags: BOTH }).code).toBe("EFAULT");
          expect(space.map({ ...request, flags: WRITE }).code).toBe("EFAULT");
          expect(space.map({ ...request, flags: READ }).code).toBe("ok");
          expect(space.unmap({ size: PAGE }).bytes).toBe(PAGE);
        } finally {
          io.unmap();
        }
      });

      it("registers_that_the_process_cannot_write_are_mapped_for_reading_only", () => {
        using space = new ContainerSpace(mode, address);
        const bar = readOnlyBar(space.device);
        try {
          const size = BigInt(bar.length);
          const map = (flags: number) => space.map({ vaddr: bar.address, size, flags }).code;
          const readable = mode.traits.mapsRegisters ? "ok" : "EFAULT";
          expect([map(BOTH), map(WRITE), map(READ)]).toEqual(["EFAULT", "EFAULT", readable]);
          if (mode.traits.mapsRegisters) expect(space.unmap({ size }).bytes).toBe(size);
          // Entries of the process's page table that are there already are read-only, too (follow_fault_pfn).
          expect(bar.read32(0)).toBeGreaterThanOrEqual(0);
          expect([map(BOTH), map(WRITE), map(READ)]).toEqual(["EFAULT", "EFAULT", readable]);
        } finally {
          bar.unmap();
        }
      });

      it("bad_unmaps_are_refused", () => {
        using space = new ContainerSpace(mode, address);
        expect(space.map({ size: 4n * PAGE }).code).toBe("ok");
        expectAnswers(badUnmaps(space), (request) => space.unmap(request).code);
        expect(space.unmap({ size: 4n * PAGE }).bytes).toBe(4n * PAGE);
      });

      it("unmaps_of_parts_follow_the_version", () => {
        for (const [name, first, pages] of PARTS) {
          using space = new ContainerSpace(mode, address);
          expect(space.map({ size: 4n * PAGE }).code).toBe("ok");
          const { code, bytes } = space.unmap({ iova: BASE + first * PAGE, size: pages * PAGE });
          const taken = code === "ok" ? bytes / PAGE : code;
          expect({ name, taken }).toEqual({ name, taken: space.answerToPart(first, pages) });
          const left = 4n - (typeof taken === "bigint" ? taken : 0n);
          expect({ name, left: space.unmap({ flags: ALL, iova: 0n, size: 0n }).bytes }).toEqual({
            name,
            left: left * PAGE,
          });
        }
      });

      it("unmaps_that_cut_one_of_several_follow_the_version", () => {
        for (const [name, first, pages, taken] of CUTS) {
          using space = new ContainerSpace(mode, address);
          expect([
            space.map({ size: 2n * PAGE }).code,
            space.map({ iova: BASE + 2n * PAGE, size: 4n * PAGE }).code,
          ]).toEqual(["ok", "ok"]);
          const { code, bytes } = space.unmap({ iova: BASE + first * PAGE, size: pages * PAGE });
          const answer = code === "ok" ? bytes / PAGE : code;
          expect({ name, answer }).toEqual({ name, answer: space.answerToCut(taken) });
          const left = 6n - (typeof answer === "bigint" ? answer : space.takenBeforeRefusal(first));
          expect({ name, left: space.unmap({ flags: ALL, iova: 0n, size: 0n }).bytes }).toEqual({
            name,
            left: left * PAGE,
          });
        }
      });

      it("unmap_of_the_first_page_at_iova_0_follows_the_version", () => {
        using space = new ContainerSpace(mode, address);
        // iommufd has nothing to cut off before this page (iommufd_vfio_unmap_dma).
        expect(space.map({ iova: 0n, size: 4n * PAGE }).code).toBe("ok");
        const { code, bytes } = space.unmap({ iova: 0n, size: PAGE });
        expect(code === "ok" ? bytes / PAGE : code).toBe(space.answerToPart(0n, 1n));
        const left = code === "ok" ? 4n * PAGE - bytes : 4n * PAGE;
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n }).bytes).toBe(left);
      });

      it("unmaps_over_holes_count_what_was_mapped", () => {
        using space = new ContainerSpace(mode, address);
        for (const page of [0n, 2n, 3n, 6n]) {
          expect(space.map({ iova: BASE + page * PAGE, size: PAGE }).code).toBe("ok");
        }
        expect(space.unmap({ iova: BASE + PAGE, size: PAGE }).bytes).toBe(0n);
        expect(space.unmap({ iova: BASE + PAGE, size: 4n * PAGE }).bytes).toBe(2n * PAGE);
        expect(space.unmap({ iova: 0n, size: BASE }).bytes).toBe(0n);
        // From the first page to the last but one: everything that is left.
        expect(space.unmap({ iova: 0n, size: SPACE_END - PAGE }).bytes).toBe(2n * PAGE);
      });

      it("unmap_of_scattered_pages_ends_the_count_of_each", () => {
        using memory = new ScatteredMemory(SCATTERED_PAGES);
        using space = new ContainerSpace(mode, address);
        const counted = () => {
          const { locked, pinned } = lockedMemory();
          return locked + pinned;
        };
        const before = counted();
        const size = BigInt(SCATTERED_PAGES) * PAGE;
        expect(space.map({ vaddr: memory.address, size }).code).toBe("ok");
        expect(counted() - before).toBe(SCATTERED_PAGES);
        expect(space.unmap({ size })).toEqual({ code: "ok", bytes: size });
        expect(counted() - before).toBe(0);
      });

      it("unmap_all_takes_everything_and_then_nothing", () => {
        using space = new ContainerSpace(mode, address);
        const { start } = space.iommu.iovaRanges()[0] ?? { start: 0n };
        const { last } = space.iommu.iovaRanges().at(-1) ?? { last: 0n };
        for (const iova of [start, BASE, last + 1n - PAGE]) expect(space.map({ iova, size: PAGE }).code).toBe("ok");
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n })).toEqual({ code: "ok", bytes: 3n * PAGE });
        expect(space.unmap({ flags: ALL, iova: 0n, size: 0n })).toEqual({ code: "ok", bytes: 0n });
        for (const iova of [start, BASE, last + 1n - PAGE]) expect(space.map({ iova, size: PAGE }).code).toBe("ok");
      });
    });
  });
}

/** Pages of an unmap within a mapping of four. */
const PARTS = [
  ["first_page", 0n, 1n],
  ["all_but_last", 0n, 3n],
  ["middle", 1n, 2n],
  ["last_page", 3n, 1n],
  ["over_its_start", -1n, 2n],
  ["over_its_end", 3n, 2n],
  ["around_it", -1n, 6n],
] as const;

/** Pages of an unmap over mappings of two and of four pages, side by side, and what each kind of version 1 takes. */
const CUTS = [
  ["all_but_the_last_page", 0n, 5n, { type1: 6n, iommufd: 5n }],
  ["all_but_the_first_page", 1n, 5n, { type1: 0n, iommufd: 5n }],
  ["first_page_of_the_second", 0n, 3n, { type1: 6n, iommufd: 3n }],
  ["middle_of_both", 1n, 3n, { type1: 0n, iommufd: 3n }],
] as const;

function badMaps(space: ContainerSpace): AnswerTable<MapRequest> {
  const { memory, isType1 } = space;
  return {
    // vfio_iommu_type1_map_dma, iommufd_vfio_map_dma
    size_of_structure_too_small: [{ said: vfio_iommu_type1_dma_map.size - 1 }, "EINVAL"],
    unknown_flag: [{ flags: BOTH | UNKNOWN_FLAG }, "EINVAL"],
    last_flag: [{ flags: BOTH | (1 << 31) }, "EINVAL"],
    // vfio_dma_do_map refuses it; of iommufd, the page table does
    no_access: [{ flags: 0 }, "EINVAL"],
    new_address_of_nothing: [{ flags: VADDR }, isType1 ? "ENOENT" : "EINVAL"],
    new_address_and_access: [{ flags: VADDR | READ }, "EINVAL"],
    no_bytes: [{ size: 0n }, "EINVAL"],
    half_a_page: [{ size: PAGE / 2n }, "EINVAL"],
    a_byte_more: [{ size: PAGE + 1n }, "EINVAL"],
    a_byte_less: [{ size: PAGE - 1n }, "EINVAL"],
    iova_in_a_page: [{ iova: BASE + PAGE / 2n }, "EINVAL"],
    iova_by_a_byte: [{ iova: BASE + 1n }, "EINVAL"],
    address_in_a_page: [{ vaddr: memory.address + PAGE / 2n }, "EINVAL"],
    address_by_a_byte: [{ vaddr: memory.address + 1n }, "EINVAL"],
    // check_add_overflow, twice
    iova_wraps: [{ iova: SPACE_END - PAGE, size: 2n * PAGE }, wrappingRange(space)],
    address_wraps: [{ vaddr: SPACE_END - PAGE, size: 2n * PAGE }, wrappingRange(space)],
    last_page_of_all: [{ iova: SPACE_END - PAGE, size: PAGE }, "EINVAL"],
  };
}

function badUnmaps(space: ContainerSpace): AnswerTable<UnmapRequest> {
  const { isType1 } = space;
  return {
    // vfio_iommu_type1_unmap_dma, iommufd_vfio_unmap_dma
    size_of_structure_too_small: [{ said: vfio_iommu_type1_dma_unmap.size - 1 }, "EINVAL"],
    unknown_flag: [{ flags: UNKNOWN_FLAG }, "EINVAL"],
    last_flag: [{ flags: 1 << 31 }, "EINVAL"],
    all_and_an_iova: [{ flags: ALL, iova: BASE, size: 0n }, "EINVAL"],
    all_and_a_size: [{ flags: ALL, iova: 0n, size: 4n * PAGE }, "EINVAL"],
    all_and_dirty_pages: [{ flags: ALL | GET_DIRTY, iova: 0n, size: 0n }, "EINVAL"],
    dirty_pages_and_address: [{ flags: GET_DIRTY | INVALIDATE }, "EINVAL"],
    dirty_pages_without_a_bitmap: [{ flags: GET_DIRTY }, "EINVAL"],
    no_bytes: [{ size: 0n }, "EINVAL"],
    iova_wraps: [{ iova: SPACE_END - PAGE, size: 2n * PAGE }, wrappingRange(space)],
    // iommufd checks no alignment here: its answer depends on what the area cuts.
    ...(isType1
      ? {
          iova_in_a_page: [{ iova: BASE + PAGE / 2n }, "EINVAL"] as const,
          iova_by_a_byte: [{ iova: BASE + 1n }, "EINVAL"] as const,
          half_a_page: [{ size: PAGE / 2n }, "EINVAL"] as const,
          a_byte_more: [{ size: 4n * PAGE + 1n }, "EINVAL"] as const,
        }
      : {}),
  };
}

/** A container with a device, and memory of eight pages. Its requests bypass all checks of ours. */
class ContainerSpace implements Disposable {
  readonly iommu: Iommu;
  readonly device: PciDevice;
  readonly memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
  /** VFIO's own type 1 driver answers, not iommufd in its place. */
  readonly isType1: boolean;
  readonly #file: KernelFileAccess;
  readonly #cuts: boolean;

  constructor(mode: IommuMode, address: string) {
    this.isType1 = mode.traits.mapsRegisters;
    this.#cuts = mode.traits.splitsMappings;
    this.iommu = new Iommu(mode.open());
    try {
      this.device = PciDevice.open(this.iommu, address);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    this.#file = rawSpaceOf(this.iommu).file;
  }

  map({ flags = BOTH, vaddr = this.memory.address, iova = BASE, size = PAGE, said }: MapRequest): Answer {
    const options = said === undefined ? {} : { said };
    return askKernel(
      this.#file,
      { VFIO_IOMMU_MAP_DMA },
      vfio_iommu_type1_dma_map,
      { flags, vaddr, iova, size },
      options,
    );
  }

  /** `bytes`: what the kernel reports that it unmapped. */
  unmap({ flags = 0, iova = BASE, size = 4n * PAGE, said }: UnmapRequest): { code: string; bytes: bigint } {
    const options = said === undefined ? {} : { said };
    const { code, view } = askKernel(
      this.#file,
      { VFIO_IOMMU_UNMAP_DMA },
      vfio_iommu_type1_dma_unmap,
      { flags, iova, size },
      options,
    );
    return { code, bytes: vfio_iommu_type1_dma_unmap.fields.size.get(view) };
  }

  /** Pages that an unmap of `pages` from page `first` of a mapping of four takes, or the errno (vfio_dma_do_unmap). */
  answerToPart(first: bigint, pages: bigint): bigint | string {
    const end = first + pages;
    if (first <= 0n && end >= 4n) return 4n;
    if (!this.#cuts) return this.isType1 ? "EINVAL" : "ENOENT";
    // Version 1 takes the whole mapping where the area covers its start, else nothing; iommufd cuts (iopt_cut_iova).
    if (this.isType1) return first <= 0n ? 4n : 0n;
    return (end < 4n ? end : 4n) - (first > 0n ? first : 0n);
  }

  /** The same of an unmap that cuts at least one of two mappings. */
  answerToCut(taken: Readonly<Record<"type1" | "iommufd", bigint>>): bigint | string {
    if (!this.#cuts) return this.isType1 ? "EINVAL" : "ENOENT";
    return this.isType1 ? taken.type1 : taken.iommufd;
  }

  /**
   * Pages that a refused unmap from page `first` of the two mappings has taken all the same. Type 1 looks at both ends
   * before it takes any (vfio_dma_do_unmap). iommufd takes mapping after mapping up to the one that it would have to
   * cut (iopt_unmap_iova_range).
   */
  takenBeforeRefusal(first: bigint): bigint {
    return !this.isType1 && first === 0n ? 2n : 0n;
  }

  [Symbol.dispose](): void {
    this.iommu.close();
    this.memory.close();
  }
}

/** A page of registers that the process can only read. The caller unmaps it. */
function readOnlyBar(device: PciDevice): NativeIo {
  const bar = device.bars.find(({ mapping }) => (mapping?.length ?? 0) >= PAGE_SIZE);
  if (bar === undefined) {
    skip({ reason: "the device has no BAR of a page or more that can be mapped", remedy: "use another device" });
  }
  const mapped = new RawDevice(device).map(bar.index, { length: PAGE_SIZE, prot: PROT_READ });
  if (typeof mapped === "string") throw new Error(`BAR ${bar.index} was not mapped: ${mapped}`);
  return mapped;
}
