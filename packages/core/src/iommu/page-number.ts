/**
 * Addresses as page numbers. A 64-bit address divided by 4096 is below 2^52, so a page number is an exact `number`. The
 * indexes of an address space compare numbers, and split a bigint only once per call.
 */
export const PAGE_SIZE = 0x1000;
/** One past the last page of a 64-bit address space. */
export const PAGE_NUMBER_END = 2 ** 52;

const PAGE_SHIFT = 12;
const PAGES_IN_4_GIB = 0x10_0000;

const wide = new BigUint64Array(1);
const halves = new Uint32Array(wide.buffer);

/** Number of the page that holds `address`, which must be below 2^64. */
export function pageNumber(address: bigint): number {
  wide[0] = address;
  return (halves[1] as number) * PAGES_IN_4_GIB + ((halves[0] as number) >>> PAGE_SHIFT);
}

/** Address of a page's first byte. */
export function pageAddress(page: number): bigint {
  halves[1] = page / PAGES_IN_4_GIB;
  halves[0] = page << PAGE_SHIFT;
  return wide[0] as bigint;
}

/**
 * `value`, an integer from 0 to 2^53, as a bigint. `BigInt(value)` would be a call, a quarter of the cost of an unmap.
 */
export function toBigint(value: number): bigint {
  // Usual sizes take no floating-point operation (see uapi/struct.ts).
  const low = value >>> 0;
  halves[1] = low === value ? 0 : value / 0x1_0000_0000;
  halves[0] = low;
  return wide[0] as bigint;
}

/** How many pages `length` bytes take, from a page's first byte. */
export function pagesIn(length: number): number {
  return Math.ceil(length / 0x1000);
}
