import { type DmaRegion, regionState } from "./dma-region";
import { pageNumber, pagesIn } from "./page-number";
import { RegionIndex } from "./region-index";

/** A copy, for the hot path: see FIXED_IOVA in iommu-modes/src/requests/iommufd.ts. */
const { slotOf, setSlot, clearSlot } = regionState;

/** The regions in order. */
interface Sorted {
  readonly byIova: RegionIndex;
  /** By the address of their memory. */
  readonly byAddress: RegionIndex;
}

/**
 * The mapped regions of an address space. A region is mapped while it is in the table of its owner.
 *
 * Adding and removing one costs a push and a pop, because map and unmap are the hot path. The first search makes the
 * sorted indexes, and the table keeps them up from then on.
 */
export class RegionTable implements Iterable<DmaRegion> {
  /** In no order. A region's slot is its place. */
  readonly #regions: DmaRegion[] = [];
  #sorted: Sorted | undefined;

  add(region: DmaRegion): void {
    setSlot(region, this.#regions.push(region) - 1);
    if (this.#sorted !== undefined) sortIn(this.#sorted, region);
  }

  has(region: DmaRegion): boolean {
    return this.#regions[slotOf(region)] === region;
  }

  /** `region` must be in this table. */
  remove(region: DmaRegion): void {
    const last = this.#regions.pop();
    if (last !== undefined && last !== region) this.#move(last, slotOf(region));
    clearSlot(region);
    if (this.#sorted !== undefined) sortOut(this.#sorted, region);
  }

  /** Removes and returns all. */
  clear(): readonly DmaRegion[] {
    const regions = this.#regions.splice(0);
    for (const region of regions) clearSlot(region);
    this.#sorted = undefined;
    return regions;
  }

  [Symbol.iterator](): Iterator<DmaRegion> {
    return this.#regions.values();
  }

  /** By rising IOVA. */
  sorted(): readonly DmaRegion[] {
    return [...this.#indexes().byIova];
  }

  /** The region that holds an IOVA. */
  atIova(iova: bigint): DmaRegion | undefined {
    return this.#indexes().byIova.find(pageNumber(iova), (region) => {
      const distance = iova - region.iova;
      return distance >= 0n && distance < region.length;
    });
  }

  /** A region whose memory holds an address of this process. */
  atAddress(address: bigint): DmaRegion | undefined {
    return this.#indexes().byAddress.find(pageNumber(address), (region) => {
      const distance = address - region.address;
      return distance >= 0n && distance < region.length;
    });
  }

  /** Regions that have a byte in [start, end), by rising IOVA. `start` is a multiple of the page size. */
  touching(start: bigint, end: bigint): DmaRegion[] {
    const first = this.atIova(start);
    const others = this.#indexes().byIova.startingIn(pageNumber(start), pageNumber(end - 1n));
    return first === undefined || first.iova === start ? others : [first, ...others];
  }

  #move(region: DmaRegion, slot: number): void {
    this.#regions[slot] = region;
    setSlot(region, slot);
  }

  #indexes(): Sorted {
    return (this.#sorted ??= this.#sort());
  }

  #sort(): Sorted {
    const sorted = { byIova: new RegionIndex(), byAddress: new RegionIndex() };
    for (const region of this.#regions) sortIn(sorted, region);
    return sorted;
  }
}

function sortIn({ byIova, byAddress }: Sorted, region: DmaRegion): void {
  const pages = pagesIn(region.length);
  byIova.add(pageNumber(region.iova), pages, region);
  byAddress.add(pageNumber(region.address), pages, region);
}

function sortOut({ byIova, byAddress }: Sorted, region: DmaRegion): void {
  byIova.remove(pageNumber(region.iova), region);
  byAddress.remove(pageNumber(region.address), region);
}
