import {
  DmaMemory,
  type DmaRegion,
  Iommu,
  type IommuMode,
  type MemoryBacking,
  PciDevice,
  VfioError,
} from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture } from "@vfio-selftests/harness";
import { EDU_IOVA_LIMIT } from "../devices/edu/edu-registers";
import { expectFaultReport } from "../devices/silent-faults";
import { CopyRig } from "../rigs/dma/copy-rig";
import { Reach } from "../rigs/dma/reach";
import { allocateOrSkip } from "../rigs/memory/allocate-or-skip";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

/** As many as a 2 MiB page has. */
const PAGES = 512;
/** Of those between holes, where each copy is looked at. */
const HOLED_PAGES = 64;
const MIB = 1024 ** 2;
/** Not at the start of the space: an address that no reserved range of a PC covers, and that each device reaches. */
const BASE = EDU_IOVA_LIMIT / 2n;
const ROUNDS = 16;

type Order = (pages: readonly number[]) => number[];

const backward: Order = (pages) => [...pages].reverse();
/** First every other page, then those between. */
const checkerboard: Order = (pages) => [
  ...pages.filter((_, place) => place % 2 === 0),
  ...pages.filter((_, place) => place % 2 === 1),
];

const ORDERS: Readonly<Record<string, Order>> = {
  forward: (pages) => [...pages],
  backward,
  checkerboard,
  checkerboard_backward: (pages) => checkerboard(backward(pages)),
};

/**
 * Each memory, with the orders in which a test maps and unmaps its pages. A huge page is one piece of physical memory,
 * of which the IOMMU driver must be able to unmap single pages.
 */
const PATTERNS: readonly (readonly [backing: MemoryBacking, map: string, unmap: string])[] = [
  ["anonymous", "forward", "forward"],
  ["anonymous", "backward", "backward"],
  ["anonymous", "checkerboard", "checkerboard"],
  ["anonymous", "checkerboard_backward", "checkerboard_backward"],
  ["anonymous", "forward", "backward"],
  ["anonymous", "checkerboard", "forward"],
  ["hugetlb-2m", "forward", "checkerboard"],
  ["hugetlb-2m", "backward", "forward"],
];

/** What is mapped in one piece of 2 MiB. `thp`: shared anonymous memory, which the kernel backs with a huge page where told to. */
const WHOLES = {
  anonymous: { backing: "anonymous" },
  hugetlb_2m: { backing: "hugetlb-2m" },
  thp: { backing: "shared", alignment: 2 * MIB },
} as const;

/**
 * Mappings of two huge pages, over a border of 2 MiB between two tables or between pages of two sizes (__map_range_leaf of
 * generic_pt/iommu_pt.h).
 */
const BORDERS = {
  over_the_end_of_a_table: { iova: BASE + BigInt(PAGE_SIZE), offset: 0, length: 4 * MIB },
  from_small_pages_to_a_large_one: { iova: BASE + BigInt(MIB), offset: MIB, length: 3 * MIB },
  from_a_large_page_to_small_ones: { iova: BASE, offset: 0, length: 3 * MIB },
} as const;

/** Page by page in every order, as in Alex Williamson's correctness tests (github.com/awilliam/tests). */
export function dmaPatternsSuite(target: SuiteTarget): void {
  fixture("vfio_dma_patterns", target, (address) => {
    eachMode(target, (mode) => {
      for (const [backing, map, unmap] of PATTERNS) {
        it(`${backing.replace("-", "_")}_map_${map}_unmap_${unmap}`, () => {
          using memory = allocateOrSkip(PAGES * PAGE_SIZE, backing);
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          mapAndUnmap(iommu, memory, ORDERS[map] ?? backward, ORDERS[unmap] ?? backward);
        });
      }

      for (const [name, options] of Object.entries(WHOLES)) {
        for (const order of ["forward", "backward"]) {
          it(`${name}_mapped_whole_unmapped_by_pages_${order}`, () => {
            using memory = allocateOrSkip(PAGES * PAGE_SIZE, options.backing, options);
            using iommu = new Iommu(mode.open());
            using _device = PciDevice.open(iommu, address);
            unmapByPages(mode, iommu, memory, (ORDERS[order] ?? backward)(pageNumbers()));
          });
        }
      }

      it("pages_between_holes_are_reached", () => {
        // This memory is closed after the address space, which unmaps what is left.
        using memory = DmaMemory.allocate(HOLED_PAGES * PAGE_SIZE);
        using rig = new CopyRig(target, mode, [address]);
        const bytes = new Uint8Array(memory.buffer);
        const regions = mapEach(rig.iommu, memory, pageNumbers(HOLED_PAGES));
        for (const page of pageNumbers(HOLED_PAGES)) if (page % 2 === 0) regions[page]?.unmap();

        const { session, size } = rig.copier;
        const length = Math.min(size, PAGE_SIZE);
        for (let page = 1; page + 2 < HOLED_PAGES; page += 8) {
          bytes.fill(page, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
          bytes.fill(0xee, (page + 1) * PAGE_SIZE, (page + 3) * PAGE_SIZE);
          session.memcpySync(iovaOf(page), iovaOf(page + 2), length);
          expect(
            bytes.subarray((page + 2) * PAGE_SIZE, (page + 2) * PAGE_SIZE + length).every((byte) => byte === page),
          ).toBe(true);
        }
        // A write to a hole changes nothing.
        bytes.fill(0xee);
        expectFaultReport(session, "unmapped", () => session.memcpySync(iovaOf(1), iovaOf(2), length));
        expect(bytes.every((byte) => byte === 0xee)).toBe(true);
      });

      for (const [name, { offset, length, iova }] of Object.entries(BORDERS)) {
        it(`contiguous_memory_${name}`, () => {
          using memory = allocateOrSkip(4 * MIB, "hugetlb-2m");
          using rig = new CopyRig(target, mode, [address]);
          const reach = new Reach(rig.copier);
          const bytes = new Uint8Array(memory.buffer);
          const region = rig.iommu.map(memory, { iova, offset, length });
          const places = [0, 2 * MIB - (Number(iova - BASE) % (2 * MIB)) - PAGE_SIZE, length - 2 * PAGE_SIZE];
          for (const place of places.flatMap((first) => [first, first + PAGE_SIZE])) {
            reach.expectWrite(iova + BigInt(place), bytes, offset + place);
            reach.expectRead(iova + BigInt(place), bytes, offset + place);
          }
          const [before, behind] = [iova - BigInt(PAGE_SIZE), iova + BigInt(length)];
          for (const beside of [before, behind]) reach.expectNoWrite(beside, bytes);
          expect(region.unmap()).toBe(BigInt(length));
          for (const place of places) reach.expectNoWrite(iova + BigInt(place), bytes);
        });
      }

      it("remap_reaches_the_new_memory", () => {
        using rig = new CopyRig(target, mode, [address]);
        const { session, destination, size } = rig.copier;
        const length = Math.min(size, PAGE_SIZE);
        for (let round = 1; round <= ROUNDS; round++) {
          // New pages each time at the same IOVA: what the IOMMU's caches hold of it is stale.
          using memory = DmaMemory.allocate(PAGE_SIZE);
          new Uint8Array(memory.buffer).fill(round);
          using _region = rig.iommu.map(memory, { iova: BASE });
          session.memcpySync(BASE, destination.iova, length);
          expect(destination.bytes.subarray(0, length).every((byte) => byte === round)).toBe(true);
        }
      });

      it("map_over_a_mapping_is_refused_everywhere", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(4 * PAGE_SIZE);
        using _middle = iommu.map(memory, { iova: iovaOf(1), length: 2 * PAGE_SIZE });
        for (const [page, pages] of [
          [0, 2],
          [0, 4],
          [1, 2],
          [1, 1],
          [2, 1],
          [2, 2],
        ] as const) {
          expect(() => iommu.map(memory, { iova: iovaOf(page), length: pages * PAGE_SIZE })).toThrow(
            errorWithCode("EEXIST"),
          );
        }
        for (const page of [0, 3]) {
          using beside = iommu.map(memory, { iova: iovaOf(page), length: PAGE_SIZE });
          expect(beside.mapped).toBe(true);
        }
      });
    });
  });
}

function mapAndUnmap(iommu: Iommu, memory: DmaMemory, mapOrder: Order, unmapOrder: Order): void {
  const regions = mapEach(iommu, memory, mapOrder(pageNumbers()));
  // One assertion for all pages, because each takes milliseconds on an emulated CPU.
  const mappedAgain = pageNumbers().map((page) =>
    outcomeOf(() => iommu.map(memory, { iova: iovaOf(page), offset: page * PAGE_SIZE, length: PAGE_SIZE }).iova),
  );
  expect(mappedAgain).toEqual(pageNumbers().map(() => "EEXIST"));
  const taken = unmapOrder(pageNumbers()).map((page) => [regions[page]?.unmap(), unmapNothing(iommu, iovaOf(page))]);
  expect(taken).toEqual(pageNumbers().map(() => [BigInt(PAGE_SIZE), 0n]));
  // Everything is free again, in one piece.
  using whole = iommu.map(memory, { iova: BASE, length: PAGES * PAGE_SIZE });
  expect(whole.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
}

/** One mapping that is unmapped page by page: what each unmap takes is the mode's to say, and the kernel's to keep to. */
function unmapByPages(mode: IommuMode, iommu: Iommu, memory: DmaMemory, order: readonly number[]): void {
  const { backend } = iommu;
  const whole = BigInt(PAGES * PAGE_SIZE);
  const mapWhole = (): bigint => backend.map(memory, 0, Number(whole), BASE, "read-write");
  mapWhole();
  expect(mapWhole).toThrow(errorWithCode("EEXIST"));
  expect(backend.unmap(BASE, whole)).toBe(whole);
  mapWhole();
  const taken = order.map((page) => outcomeOf(() => backend.unmap(iovaOf(page), BigInt(PAGE_SIZE))));
  expect(taken).toEqual(order.map((page) => answerToPage(mode, page)));
  const bytes = taken.reduce<bigint>((sum, each) => (typeof each === "bigint" ? sum + each : sum), 0n);
  // The rest, which modes that refuse parts still have.
  expect(backend.unmapAll()).toBe(whole - bytes);
  expect(mapWhole()).toBe(BASE);
  expect(backend.unmap(BASE, whole)).toBe(whole);
}

/** Bytes that an unmap of one page of a mapping of {@link PAGES} takes, or the errno (vfio_dma_do_unmap, iopt_cut_iova). */
function answerToPage({ traits }: IommuMode, page: number): bigint | string {
  const isType1 = traits.api === "container" && traits.mapsRegisters;
  if (!traits.splitsMappings) return isType1 ? "EINVAL" : "ENOENT";
  // Type 1 takes the whole mapping with its first page, and nothing with any other; iommufd cuts.
  if (isType1) return page === 0 ? BigInt(PAGES * PAGE_SIZE) : 0n;
  return BigInt(PAGE_SIZE);
}

function outcomeOf(request: () => bigint): bigint | string {
  try {
    return request();
  } catch (error) {
    if (error instanceof VfioError) return error.code;
    throw error;
  }
}

/** Maps single pages in this order. Returns the regions by page number. */
function mapEach(iommu: Iommu, memory: DmaMemory, order: readonly number[]): DmaRegion[] {
  const regions: DmaRegion[] = [];
  for (const page of order) {
    regions[page] = iommu.map(memory, { iova: iovaOf(page), offset: page * PAGE_SIZE, length: PAGE_SIZE });
  }
  return regions;
}

/** Bytes that an unmap of an empty range reports. iommufd itself answers ENOENT, which counts as 0. */
function unmapNothing(iommu: Iommu, iova: bigint): bigint {
  try {
    return iommu.unmapRange(iova, BigInt(PAGE_SIZE));
  } catch (error) {
    if (error instanceof VfioError && error.code === "ENOENT") return 0n;
    throw error;
  }
}

function pageNumbers(length = PAGES): number[] {
  return Array.from({ length }, (_, page) => page);
}

function iovaOf(page: number): bigint {
  return BASE + BigInt(page * PAGE_SIZE);
}
