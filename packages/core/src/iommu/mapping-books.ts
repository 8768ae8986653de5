import type { IovaRange } from "../contracts/iommu";
import { type DmaRegion, type RegionOwner, regionState } from "./dma-region";
import { IovaSpace } from "./iova-space";
import { RegionTable } from "./region-table";

/**
 * The books of one address space: its regions, its free IOVAs, and what the mapped memory knows of its mappings. They
 * change after the back end has done its part, so they match the kernel.
 */
export class MappingBooks {
  readonly regions = new RegionTable();
  readonly space: IovaSpace;
  readonly #owner: RegionOwner;

  constructor(owner: RegionOwner, ranges: () => readonly IovaRange[]) {
    this.#owner = owner;
    this.space = new IovaSpace(ranges, this.regions);
  }

  /** Adds a mapping at IOVAs that `space` knows to be taken. */
  add(region: DmaRegion): void {
    this.regions.add(region);
    region.memory.addMapping?.(region);
  }

  /** Removes a mapping. */
  remove(region: DmaRegion): void {
    this.regions.remove(region);
    this.space.unmapped(region.iova, region.length);
    region.memory.removeMapping?.(region);
  }

  /** Removes every mapping. */
  clear(): void {
    const regions = this.regions.clear();
    this.space.allUnmapped();
    for (const region of regions) region.memory.removeMapping?.(region);
  }

  /**
   * Takes note that an unmap of [start, end) succeeded. `bytes` shows how the mode treats a mapping that the area cuts
   * through.
   */
  unmapped(start: bigint, end: bigint, bytes: bigint): void {
    const touched = this.regions.touching(start, end);
    if (bytes === touched.reduce((sum, region) => sum + bytesInside(region, start, end), 0n)) {
      for (const region of touched) this.#cut(region, start, end);
      return;
    }
    // Type 1 took as many whole mappings as make up the bytes, from the first one that starts in the area.
    let left = bytes;
    for (const region of touched.filter((candidate) => candidate.iova >= start)) {
      if (left <= 0n) break;
      left -= BigInt(region.length);
      this.remove(region);
    }
  }

  /** Takes note that an unmap of [start, end) failed half-way. `isMapped` tells what it left of each region. */
  recount(start: bigint, end: bigint, isMapped: (iova: bigint) => boolean): void {
    for (const region of this.regions.touching(start, end)) {
      if (!isMapped(region.iova > start ? region.iova : start)) this.#cut(region, start, end);
    }
  }

  /** Leaves the part of a region that lies outside [start, end). */
  #cut(region: DmaRegion, start: bigint, end: bigint): void {
    const { iova, length, offset } = region;
    this.remove(region);
    const before = start > iova ? Number(start - iova) : 0;
    if (before > 0) this.#keep(region, iova, before, offset);
    const after = iova + BigInt(length) > end ? Number(iova + BigInt(length) - end) : 0;
    if (after > 0) this.#keep(region, end, after, offset + length - after);
  }

  #keep({ access, memory }: DmaRegion, iova: bigint, length: number, offset: number): void {
    this.space.mapped(iova, length);
    this.add(regionState.create(this.#owner, iova, length, access, memory, offset));
  }
}

function bytesInside(region: DmaRegion, start: bigint, end: bigint): bigint {
  const last = region.iova + BigInt(region.length);
  return (last < end ? last : end) - (region.iova > start ? region.iova : start);
}
