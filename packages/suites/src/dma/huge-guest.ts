import { DmaMemory, Iommu, type IommuMode, type IovaRange, PciDevice } from "@vfio-selftests/core";
import { eachMode, fixture, notChecked, note, skip } from "@vfio-selftests/harness";
import { ioPageTableEntry } from "../rigs/iommu/io-page-table";
import { hasHugeSharedMemory } from "../rigs/memory/huge-shared-memory";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import type { SuiteTarget } from "../suite-target";

const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const GUEST_END = 1024n * BigInt(GIB);
/** A PC's memory: below the hole for the screen and the firmware, up to the hole for devices, and above 4 GiB. */
const CONVENTIONAL_BYTES = 640 * KIB;
const LOW_START = BigInt(MIB);
const LOW_END = 3n * BigInt(GIB);
const HIGH_START = 4n * BigInt(GIB);
/** What is mapped again and again; the original's 4 GiB on hardware, of each of which a lab has room for the first part. */
const MEMORY_BYTES = { hardware: 4 * GIB, lab: 64 * MIB, models: 4 * MIB } as const;
const SPLIT_BYTES = { ...MEMORY_BYTES, lab: 4 * MIB } as const;
const TIMEOUT_MS = 120_000;

/** A virtual machine of a TiB, as a VMM maps it (github.com/awilliam/tests, huge-guest). */
export function hugeGuestSuite(target: SuiteTarget): void {
  fixture("vfio_huge_guest", target, (address) => {
    eachMode(target, (mode) => {
      it(
        "all_of_its_memory",
        () => {
          // Entries of 4 KiB alone are as slow as many maps.
          const small = mode.traits.splitsMappings || !hasHugeSharedMemory();
          const bytes = small ? SPLIT_BYTES[target.kind] : MEMORY_BYTES[target.kind];
          using memory = DmaMemory.allocate(bytes, { backing: "shared", alignment: 2 * MIB });
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          const before = lockedMemory().locked + lockedMemory().pinned;
          const started = performance.now();
          const slots = slotsOf(bytes, iommu.iovaRanges());
          for (const { iova, offset, length } of slots) {
            expect(iommu.backend.map(memory, offset, length, iova, "read-write")).toBe(iova);
          }
          const end = performance.now();
          const total = slots.reduce((sum, { length }) => sum + length, 0);
          note(`${slots.length} maps of ${Math.round(total / MIB)} MiB in ${(end - started).toFixed(0)} ms`);
          // All of it counts, however often the same pages are there.
          expect(lockedMemory().locked + lockedMemory().pinned - before).toBe(total / PAGE_SIZE);
          expectTranslated(mode, address, slots);
          expect(iommu.backend.unmapAll()).toBe(BigInt(total));
          expect(lockedMemory().locked + lockedMemory().pinned).toBe(before);
        },
        TIMEOUT_MS,
      );
    });
  });
}

interface Slot {
  readonly iova: bigint;
  /** In the memory, where the guest's address leads. */
  readonly offset: number;
  readonly length: number;
}

/** The guest's memory, as far as the IOMMU reaches in one piece; skips the test where that holds no PC. */
function slotsOf(bytes: number, ranges: readonly IovaRange[]): Slot[] {
  const low = Math.min(bytes, Number(LOW_END)) - Number(LOW_START);
  const lowRange = ranges.find(({ start, last }) => start === 0n && last >= LOW_START + BigInt(low) - 1n);
  // AMD's IOMMU keeps the last 12 GiB of the first TiB to itself (HT_RANGE_START).
  const highRange = ranges.find(({ start, last }) => start <= HIGH_START && last >= HIGH_START);
  if (lowRange === undefined || highRange === undefined) {
    skip({
      reason: `the IOMMU reaches no PC's memory: ${ranges.map(rangeText).join(", ")}`,
      remedy: "use a PC's IOMMU: vfio-selftests lab run",
    });
  }
  const end = highRange.last + 1n < GUEST_END ? highRange.last + 1n : GUEST_END;
  const slots: Slot[] = [
    { iova: 0n, offset: 0, length: CONVENTIONAL_BYTES },
    { iova: LOW_START, offset: Number(LOW_START), length: low },
  ];
  for (let iova = HIGH_START; iova + BigInt(bytes) <= end; iova += 4n * BigInt(GIB)) {
    slots.push({ iova, offset: 0, length: bytes });
  }
  return slots;
}

function rangeText({ start, last }: IovaRange): string {
  return `0x${start.toString(16)} to 0x${last.toString(16)}`;
}

/** The same memory everywhere: each slot's pages lead where the first ones do. */
function expectTranslated({ traits }: IommuMode, address: string, slots: readonly Slot[]): void {
  const what = "where the guest's memory leads";
  if (traits.splitsMappings) {
    notChecked(what, "a mode that may split mappings has a page table of millions of entries");
    return;
  }
  const probe = ioPageTableEntry(address, HIGH_START);
  if (!probe.readable) {
    notChecked(what, probe.reason);
    return;
  }
  const [conventional, low] = slots;
  const last = slots.at(-1);
  if (conventional === undefined || low === undefined || last === undefined || last.iova < HIGH_START) {
    throw new RangeError("the IOMMU reaches less than 8 GiB");
  }
  const ends = [0, MIB, last.length - PAGE_SIZE].map((within) => ({
    at: last.iova + BigInt(within),
    like: HIGH_START + BigInt(within),
  }));
  for (const { at, like } of [
    { at: conventional.iova, like: HIGH_START },
    { at: low.iova, like: HIGH_START + BigInt(low.offset) },
    ...ends,
  ]) {
    expect(physicalOf(address, at)).toBeDefined();
    expect([at, physicalOf(address, at)]).toEqual([at, physicalOf(address, like)]);
  }
}

/** Where an IOVA leads; the table is asked for the start of each page that may hold it. */
function physicalOf(address: string, iova: bigint): bigint | undefined {
  for (const size of [PAGE_SIZE, 2 * MIB, GIB]) {
    const within = iova % BigInt(size);
    const entry = ioPageTableEntry(address, iova - within);
    if (entry.readable && entry.pageSize === size && entry.physical !== undefined) return entry.physical + within;
  }
  return undefined;
}
