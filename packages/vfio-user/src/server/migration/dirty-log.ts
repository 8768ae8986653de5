/** Bytes of the pages that a log tells apart. Reports may be of larger ones. */
export const LOG_PAGE = 4096;

/** Pages of one piece of the log. */
const PIECE_PAGES = 32_768;

/** A range of I/O virtual addresses, both ends inclusive. */
export interface LoggedRange {
  readonly start: bigint;
  readonly last: bigint;
}

/** The pages that the device has written since the log began, or since they were last reported. */
export class DirtyLog {
  readonly #ranges: readonly LoggedRange[];
  /** By the number of the piece: a bit for each page. */
  readonly #pieces = new Map<number, Uint8Array>();

  /** `ranges`: writes elsewhere are not logged. None: all are. */
  constructor(ranges: readonly LoggedRange[]) {
    this.#ranges = ranges;
  }

  /** The device has written `length` bytes (at least 1) at `iova`. */
  written(iova: bigint, length: number): void {
    const last = iova + BigInt(length) - 1n;
    if (this.#ranges.length === 0) this.#mark(iova, last);
    for (const range of this.#ranges) {
      if (iova <= range.last && last >= range.start) {
        this.#mark(iova > range.start ? iova : range.start, last < range.last ? last : range.last);
      }
    }
  }

  /**
   * Sets the bit of every written page of the range in `bitmap`, bit n for the n-th `pageSize` bytes from `iova` on, and
   * forgets the pages that lie in the range as a whole: the writes of one that lies there in part may be outside. The bitmap has
   * room for the range.
   */
  report(iova: bigint, length: bigint, pageSize: bigint, bitmap: Uint8Array): void {
    const last = iova + length - 1n;
    for (const [number, piece] of this.#pieces) {
      const base = BigInt(number) * BigInt(PIECE_PAGES * LOG_PAGE);
      if (base > last || base + BigInt(PIECE_PAGES * LOG_PAGE) <= iova) continue;
      for (const [at, byte] of piece.entries()) {
        if (byte === 0) continue;
        for (let bit = 0; bit < 8; bit += 1) {
          if ((byte & (1 << bit)) === 0) continue;
          const start = base + BigInt((at * 8 + bit) * LOG_PAGE);
          const end = start + BigInt(LOG_PAGE) - 1n;
          if (start > last || end < iova) continue;
          if (start >= iova && end <= last) piece[at] = (piece[at] ?? 0) & ~(1 << bit);
          const from = (start > iova ? start : iova) - iova;
          setBit(bitmap, Number(from / pageSize));
        }
      }
    }
  }

  #mark(start: bigint, last: bigint): void {
    const end = Number(last / BigInt(LOG_PAGE));
    for (let page = Number(start / BigInt(LOG_PAGE)); page <= end; page += 1) {
      const number = Math.floor(page / PIECE_PAGES);
      let piece = this.#pieces.get(number);
      if (piece === undefined) {
        piece = new Uint8Array(PIECE_PAGES / 8);
        this.#pieces.set(number, piece);
      }
      setBit(piece, page % PIECE_PAGES);
    }
  }
}

function setBit(bitmap: Uint8Array, bit: number): void {
  const at = Math.floor(bit / 8);
  bitmap[at] = (bitmap[at] ?? 0) | (1 << (bit % 8));
}
