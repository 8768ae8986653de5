import type { IovaRange } from "../contracts/iommu";
import { argumentError, VfioError } from "../errors/vfio-error";
import { PAGE_NUMBER_END, PAGE_SIZE, pageAddress, pageNumber, pagesIn } from "./page-number";

/** What a free IOVA must be like. */
export interface IovaRequest {
  /**
   * Bytes, a power of two, independent of the size. Default: the largest power of two that is not above the length, at
   * most 1 GiB, so that the IOMMU can use its large pages.
   */
  alignment?: number;
  /** The allocation ends at or before this address, for devices that reach only so many address bits. */
  below?: bigint;
}

/** A run of pages, `end` exclusive. */
interface Extent {
  start: number;
  end: number;
}

const GIB = 2 ** 30;

/**
 * Hands out I/O virtual addresses from given ranges: first fit from the lowest address, in pages of 4 KiB. It hands out
 * address 0 like any other if a range begins there.
 */
export class IovaAllocator {
  readonly #ranges: readonly Extent[];
  /** Free extents: sorted, disjoint, not adjacent. */
  readonly #free: Extent[];

  /** `ranges`: sorted, disjoint, both ends inclusive. The allocator leaves out parts of pages at their ends. */
  constructor(ranges: readonly IovaRange[]) {
    this.#ranges = checkRanges(ranges);
    this.#free = this.#ranges.map(({ start, end }) => ({ start, end }));
  }

  /** Free bytes (a bigint: the whole space is 2^64). */
  get freeBytes(): bigint {
    return this.#free.reduce((sum, { start, end }) => sum + BigInt(end - start) * BigInt(PAGE_SIZE), 0n);
  }

  /** Takes `length` bytes, rounded up to pages. Throws ERR_NO_IOVA if no free extent fits. */
  allocate(length: number, request: IovaRequest = {}): bigint {
    if (!Number.isSafeInteger(length) || length < 1) {
      throw argumentError("IovaAllocator.allocate", "length", length, "an integer of at least 1 byte");
    }
    const alignment = request.alignment === undefined ? naturalAlignment(length) : checkAlignment(request.alignment);
    const count = pagesIn(length);
    const step = Math.max(1, alignment / PAGE_SIZE);
    const limit = request.below === undefined ? PAGE_NUMBER_END : pagesBelow(request.below);
    for (let index = 0; index < this.#free.length; index++) {
      const extent = this.#free[index] as Extent;
      const start = Math.ceil(extent.start / step) * step;
      if (start + count > limit) break;
      if (start + count > extent.end) continue;
      this.#cut(index, start, start + count);
      return pageAddress(start);
    }
    throw this.#exhausted(length, alignment, request.below);
  }

  /** Takes a given area if all of it is free. Otherwise takes nothing and returns false. */
  take(iova: bigint, length: number): boolean {
    const start = pageNumber(iova);
    const end = start + pagesIn(length);
    const index = this.#firstEndingAfter(start);
    const extent = this.#free[index];
    if (extent === undefined || extent.start > start || extent.end < end) return false;
    this.#cut(index, start, end);
    return true;
  }

  /**
   * Takes the free parts of a given area, and returns them. It skips what lies outside the ranges or is already taken.
   * Give the parts back with `free`.
   */
  reserve(iova: bigint, length: number): IovaRange[] {
    const start = pageNumber(iova);
    const end = Math.min(start + pagesIn(length), PAGE_NUMBER_END);
    const parts: IovaRange[] = [];
    for (let from = start; from < end;) {
      const index = this.#firstEndingAfter(from);
      const extent = this.#free[index];
      if (extent === undefined || extent.start >= end) break;
      const first = Math.max(extent.start, from);
      const to = Math.min(extent.end, end);
      parts.push({ start: pageAddress(first), last: pageAddress(to - 1) + BigInt(PAGE_SIZE - 1) });
      this.#cut(index, first, to);
      from = to;
    }
    return parts;
  }

  /**
   * Gives an area (rounded up to pages) back. Throws ERR_INVALID_ARGUMENT if part of it is free already, or outside the
   * ranges.
   */
  free(iova: bigint, length: number): void {
    const start = pageNumber(iova);
    const end = start + pagesIn(length);
    const next = this.#firstEndingAfter(start);
    const following = this.#free[next];
    if (!this.#inRange(start, end) || (following !== undefined && following.start < end)) {
      throw argumentError(
        "IovaAllocator.free",
        "area",
        `0x${pageAddress(start).toString(16)} + ${length}`,
        "what allocate or reserve gave, once",
      );
    }
    const before = next === 0 ? undefined : this.#free[next - 1];
    const joinsBefore = before?.end === start;
    const joinsAfter = following?.start === end;
    if (joinsBefore && joinsAfter) {
      before.end = following.end;
      this.#free.splice(next, 1);
    } else if (joinsBefore) {
      before.end = end;
    } else if (joinsAfter) {
      following.start = start;
    } else {
      this.#free.splice(next, 0, { start, end });
    }
  }

  #inRange(start: number, end: number): boolean {
    for (const range of this.#ranges) {
      if (range.start <= start && end <= range.end) return true;
    }
    return false;
  }

  /** Index of the first free extent that ends after `page`. */
  #firstEndingAfter(page: number): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle] as Extent).end > page) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Cuts [start, end) out of the free extent at `index`, which contains it. */
  #cut(index: number, start: number, end: number): void {
    const extent = this.#free[index] as Extent;
    if (extent.start === start) {
      if (extent.end === end) this.#free.splice(index, 1);
      else extent.start = end;
    } else if (extent.end === end) {
      extent.end = start;
    } else {
      this.#free.splice(index + 1, 0, { start: end, end: extent.end });
      extent.end = start;
    }
  }

  #exhausted(length: number, alignment: number, below: bigint | undefined): VfioError {
    const largest = this.#free.reduce((most, { start, end }) => Math.max(most, end - start), 0) * PAGE_SIZE;
    const limit = below === undefined ? "" : ` below 0x${below.toString(16)}`;
    return new VfioError(
      `no free IOVA for ${length} bytes aligned to ${alignment}${limit}; the largest free extent has ${largest} bytes`,
      {
        code: "ERR_NO_IOVA",
        operation: "IovaAllocator.allocate",
        remedy: "unmap or free what is no longer used, or ask for a smaller alignment",
      },
    );
  }
}

/** Whole pages below an address, which may be 2^64. */
function pagesBelow(address: unknown): number {
  if (typeof address !== "bigint" || address < 0n || address > 1n << 64n) {
    throw argumentError("IovaAllocator.allocate", "below", address, "a bigint from 0 to 2^64");
  }
  return Number(address >> 12n);
}

/** The largest power of two that is not above `length`, at most 1 GiB. */
function naturalAlignment(length: number): number {
  return length >= GIB ? GIB : 1 << (31 - Math.clz32(length));
}

function checkAlignment(alignment: number): number {
  if (alignment >= 1 && Number.isSafeInteger(alignment) && alignment === 2 ** Math.round(Math.log2(alignment))) {
    return alignment;
  }
  throw argumentError("IovaAllocator.allocate", "alignment", alignment, "a power of two, in bytes");
}

function checkRanges(ranges: readonly IovaRange[]): Extent[] {
  let previous = -1n;
  const extents: Extent[] = [];
  for (const { start, last } of ranges) {
    if (start <= previous || last < start || last >= 1n << 64n) {
      const shown = `0x${start.toString(16)}-0x${last.toString(16)}`;
      throw argumentError("IovaAllocator", "range", shown, "sorted, disjoint ranges below 2^64 with start ≤ last");
    }
    previous = last;
    const extent = { start: Number((start + 0xfffn) >> 12n), end: Number((last + 1n) >> 12n) };
    if (extent.start >= extent.end) continue;
    const before = extents.at(-1);
    if (before?.end === extent.start) before.end = extent.end;
    else extents.push(extent);
  }
  return extents;
}
