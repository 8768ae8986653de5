/**
 * Reads a `domain_translation_struct` file of the Intel IOMMU driver (drivers/iommu/intel/debugfs.c). Each mapping is a
 * line `0x<page frame> |` and one entry per level, from the root down; levels below the leaf are left out or 0.
 */

/** Bytes that an entry at each of the five columns maps when it is the last: PML5E, PML4E, PDPE, PDE, PTE. */
const PAGE_SIZES = [2 ** 48, 2 ** 39, 2 ** 30, 2 ** 21, 2 ** 12] as const;
/** The file counts page frames of 4 KiB (VTD_PAGE_SHIFT). */
const FRAME_SHIFT = 12n;
const HEX = /^0x[0-9a-f]+$/i;

/** Bits of an entry that hold an address (VT-d 4.1, section 9.8). */
const ADDRESS_MASK = 0x000f_ffff_ffff_f000n;
/** The same bit in tables of both stages (VT-d 4.1, sections 9.7 and 9.8). */
const WRITABLE = 2n;

/** A page that the IOMMU finds for an address. */
export interface Translation {
  /** Bytes. */
  readonly pageSize: number;
  /** The page's first physical address. */
  readonly physical: bigint;
  readonly writable: boolean;
}

/**
 * The page that maps `iova`; undefined when no line does. `chunks` are the pieces of the file in order. The function
 * takes only as many as it needs, because a mapping of many small pages makes the kernel print megabytes.
 */
export function translationOf(chunks: Iterable<string>, iova: bigint): Translation | undefined {
  const frame = iova >> FRAME_SHIFT;
  for (const line of linesOf(chunks)) {
    const [first, ...entries] = line.split(/[\s|]+/).filter((token) => token !== "");
    if (first === undefined || !HEX.test(first) || BigInt(first) !== frame) continue;
    if (!entries.every((entry) => HEX.test(entry))) continue;
    const level = entries.findLastIndex((entry) => BigInt(entry) !== 0n);
    const pageSize = PAGE_SIZES[level];
    if (pageSize === undefined) return undefined;
    const entry = BigInt(entries[level] ?? 0);
    return { pageSize, physical: entry & ADDRESS_MASK, writable: (entry & WRITABLE) !== 0n };
  }
  return undefined;
}

function* linesOf(chunks: Iterable<string>): Generator<string> {
  let rest = "";
  for (const chunk of chunks) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
