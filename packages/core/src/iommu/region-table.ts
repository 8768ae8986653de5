import { type DmaRegion, regionState } from "./dma-region";
import { pageNumber, pagesIn } from "./page-number";
import { RegionIndex } from "./region-index";

/**
 * The mapped regions of an address space. A region is mapped while it is in the table of its owner.
 *
 * Adding and removing one costs a push and a pop, because map and unmap are the hot path. The first search makes the
 * sorted indexes, and the table keeps them up from then on.
 */
export class RegionTable implements Iterable<DmaRegion> {
  /** In no order. A region's slot is its place. */
  readonly #regions: DmaRegion[] = [];
  #byIova: RegionIndex | undefined;
  #byAddress: RegionIndex | undefined;

  add(region: DmaRegion): void {
    regionState.setSlot(region, this.#regions.length);
    this.#regions.push(region);
    if (this.#byIova !== undefined) indexByIova(this.#byIova, region);
    if (this.#byAddress !== undefined) indexByAddress(this.#byAddress, region);
  }

  has(region: DmaRegion): boolean {
    return this.#regions[regionState.slotOf(region)] === region;
  }

  /** `region` must be in this table. */
  remove(region: DmaRegion): void {
    const last = this.#regions.pop();
    if (last !== undefined && last !== region) {
      const slot = regionState.slotOf(region);
      this.#regions[slot] = last;
      regionState.setSlot(last, slot);
    }
    regionState.clearSlot(region);
    if (this.#byIova !== undefined) this.#byIova.remove(pageNumber(region.iova), region);
    if (this.#byAddress !== undefined) this.#byAddress.remove(pageNumber(region.address), region);
  }

  /** Removes and returns all. */
  clear(): readonly DmaRegion[] {
    const regions = this.#regions.splice(0);
    for (const region of regions) regionState.clearSlot(region);
    this.#byIova = undefined;
    this.#byAddress = undefined;
    return regions;
  }

  [Symbol.iterator](): Iterator<DmaRegion> {
    return this.#regions.values();
  }

  /** By rising IOVA. */
  sorted(): readonly DmaRegion[] {
    return [...this.#iovaIndex()];
  }

  /** The region that holds an IOVA. */
  atIova(iova: bigint): DmaRegion | undefined {
    return this.#iovaIndex().find(pageNumber(iova), (region) => {
      const distance = iova - region.iova;
      return distance >= 0n && distance < region.length;
    });
  }

  /** A region whose memory holds an address of this process. */
  atAddress(address: bigint): DmaRegion | undefined {
    this.#byAddress ??= this.#indexed(indexByAddress);
    return this.#byAddress.find(pageNumber(address), (region) => {
      const distance = address - region.address;
      return distance >= 0n && distance < region.length;
    });
  }

  /** Regions that have a byte in [start, end), by rising IOVA. `start` is a multiple of the page size. */
  touching(start: bigint, end: bigint): DmaRegion[] {
    const first = this.atIova(start);
    const others = this.#iovaIndex().startingIn(pageNumber(start), pageNumber(end - 1n));
    return first === undefined || first.iova === start ? others : [first, ...others];
  }

  #iovaIndex(): RegionIndex {
    return (this.#byIova ??= this.#indexed(indexByIova));
  }

  #indexed(add: (index: RegionIndex, region: DmaRegion) => void): RegionIndex {
    const index = new RegionIndex();
    for (const region of this.#regions) add(index, region);
    return index;
  }
}

function indexByIova(index: RegionIndex, region: DmaRegion): void {
  index.add(pageNumber(region.iova), pagesIn(region.length), region);
}

function indexByAddress(index: RegionIndex, region: DmaRegion): void {
  index.add(pageNumber(region.address), pagesIn(region.length), region);
}
