import { type DmaAccess, DmaMemory, type IommuMode } from "@vfio-selftests/core";
import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../memory/page-size";
import { pinnedPages } from "../memory/pinned-pages";
import { lockedMemory } from "../ordinary-user/locked-memory";
import { PinSpace } from "./pin-space";

const PAGE = BigInt(PAGE_SIZE);
/** Where a rig maps its memory. */
export const BASE = 0x4000_0000n;
/** Pages of a rig's memory. */
export const PAGES = 8;

/** An address space with devices, and memory of which nothing is mapped yet. */
export class PinRig implements Disposable {
  readonly space: PinSpace;
  /** Whether VFIO's own type 1 driver answers, not iommufd. */
  readonly isType1: boolean;
  readonly memory: DmaMemory;
  readonly bytes: Uint8Array;
  readonly #before: readonly [number, number, number];

  constructor(mode: IommuMode, pages = PAGES) {
    this.isType1 = mode.traits.mapsRegisters;
    this.space = new PinSpace(mode);
    this.memory = DmaMemory.allocate(pages * PAGE_SIZE);
    this.bytes = new Uint8Array(this.memory.buffer);
    this.#before = counters();
  }

  /** Maps pages at an offset in pages from {@link BASE}. `page`: the first of our memory. */
  map(offset: number, pages: number, { page = offset, access = "read-write" }: PageChoice = {}): string {
    const vaddr = this.memory.address + BigInt(page) * PAGE;
    return this.space.map({ iova: BASE + BigInt(offset) * PAGE, vaddr, length: pages * PAGE_SIZE, access });
  }

  /**
   * For a test that unmaps pinned pages: type 1 then takes its locks in an order that lockdep reports
   * (docs/kernel-findings/type1-unmap-deadlock.md).
   */
  skipWhereLockdepWatches(): void {
    if (!this.isType1 || !existsPath(systemPaths.proc("lockdep_chains"))) return;
    skip({
      reason: "lockdep reports that type 1 may block itself here, and then watches no more",
      remedy: "a kernel without lockdep (CONFIG_PROVE_LOCKING)",
    });
  }

  /** Pages that the kernel counts as locked and as pinned by this process, and that are pinned in the machine, since the start. */
  counted(): number[] {
    return counters().map((now, at) => now - (this.#before[at] ?? NaN));
  }

  /** What `counted` tells of so many pages. Type 1 counts them as locked, iommufd as pinned. */
  pages(count: number): number[] {
    return this.isType1 ? [count, 0, count] : [0, count, count];
  }

  [Symbol.dispose](): void {
    this.space[Symbol.dispose]();
    this.memory.close();
  }
}

interface PageChoice {
  readonly page?: number;
  readonly access?: DmaAccess;
}

/** All of the memory is mapped. */
export class MappedPinRig extends PinRig {
  constructor(mode: IommuMode) {
    super(mode);
    expect(this.map(0, PAGES)).toBe("ok");
  }
}

function counters(): [number, number, number] {
  const { locked, pinned } = lockedMemory();
  return [locked, pinned, pinnedPages()];
}
