/**
 * Addresses as page numbers. A 64-bit address divided by 4096 is below 2^52, so a page number is an exact `number`:
 * the indexes of an address space compare numbers, and a bigint is taken apart once per call.
 */
export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
/** One past the last page of a 64-bit address space. */
export const PAGE_NUMBER_END = 2 ** (64 - PAGE_SHIFT);

const wide = new BigUint64Array(1);
const halves = new Uint32Array(wide.buffer);

/** Number of the page that holds `address`, which must be below 2^64. */
export function pageNumber(address: bigint): number {
  wide[0] = address;
  return (halves[1] as number) * 2 ** (32 - PAGE_SHIFT) + ((halves[0] as number) >>> PAGE_SHIFT);
}

/** Address of a page's first byte. */
export function pageAddress(page: number): bigint {
  halves[1] = page / 2 ** (32 - PAGE_SHIFT);
  halves[0] = page << PAGE_SHIFT;
  return wide[0] as bigint;
}

/** Pages that `length` bytes take, when they start at a page's first byte. */
export function pagesIn(length: number): number {
  return Math.ceil(length / PAGE_SIZE);
}
