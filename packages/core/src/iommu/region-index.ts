import type { DmaRegion } from "./dma-region";

/**
 * Regions sorted by a page number (of their IOVA, or of their memory). Any page inside a region finds it. Adding or
 * removing at the end costs a push or a pop, elsewhere a binary search and a move. Regions may overlap, because the
 * same memory can be mapped more than once.
 */
export class RegionIndex {
  readonly #keys: number[] = [];
  readonly #regions: DmaRegion[] = [];
  /** Pages of the longest region ever added: a region that covers a page starts at most this far to the left of it. */
  #longest = 0;

  get size(): number {
    return this.#regions.length;
  }

  add(key: number, pages: number, region: DmaRegion): void {
    if (pages > this.#longest) this.#longest = pages;
    const count = this.#keys.length;
    if (count === 0 || (this.#keys[count - 1] as number) <= key) {
      this.#keys.push(key);
      this.#regions.push(region);
      return;
    }
    const index = this.#firstAbove(key);
    this.#keys.splice(index, 0, key);
    this.#regions.splice(index, 0, region);
  }

  remove(key: number, region: DmaRegion): void {
    const last = this.#regions.length - 1;
    if (this.#regions[last] === region) {
      this.#keys.pop();
      this.#regions.pop();
      return;
    }
    for (let index = this.#firstAbove(key) - 1; index >= 0 && this.#keys[index] === key; index--) {
      if (this.#regions[index] === region) {
        this.#keys.splice(index, 1);
        this.#regions.splice(index, 1);
        return;
      }
    }
  }

  clear(): void {
    this.#keys.length = 0;
    this.#regions.length = 0;
  }

  /**
   * A region that `covers` accepts, among those that can reach `page`. If there are several, the one that starts last.
   */
  find(page: number, covers: (region: DmaRegion) => boolean): DmaRegion | undefined {
    for (let index = this.#firstAbove(page) - 1; index >= 0; index--) {
      if ((this.#keys[index] as number) + this.#longest <= page) return undefined;
      const region = this.#regions[index] as DmaRegion;
      if (covers(region)) return region;
    }
    return undefined;
  }

  /** Regions that start at `first` to `last`, in order. */
  startingIn(first: number, last: number): DmaRegion[] {
    return this.#regions.slice(this.#firstAbove(first - 1), this.#firstAbove(last));
  }

  [Symbol.iterator](): Iterator<DmaRegion> {
    return this.#regions.values();
  }

  /** Index of the first key above `key`. */
  #firstAbove(key: number): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as number) > key) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
