import type { ModelRegion } from "@vfio-selftests/vfio-user";

/** A block of registers at its place in a region. */
export interface RegisterWindow {
  /** Bytes from the start of the region, a multiple of 8. */
  readonly at: number;
  /** The block, as a region of its own. */
  readonly registers: Pick<ModelRegion, "size" | "read" | "write">;
  /**
   * What every 32 bits read while the block does not answer at `offset` (bytes from the window's start). Writes are lost
   * then. Undefined, or absent: the block answers.
   */
  readonly silence?: (offset: number) => number | undefined;
}

/**
 * A large region with few registers, such as a GPU's BAR 0: blocks at their places, and nothing in between. Memory is
 * needed for the blocks alone. Where there is no block, bytes read 0 and ignore writes. An access of 8 bytes is two of 4.
 */
export class RegisterWindows implements ModelRegion {
  readonly size: number;
  readonly #windows: readonly RegisterWindow[];

  /** Throws RangeError when windows overlap, or do not fit `size`. */
  constructor(size: number, windows: readonly RegisterWindow[]) {
    this.size = size;
    this.#windows = [...windows].sort((a, b) => a.at - b.at);
    let end = 0;
    for (const { at, registers } of this.#windows) {
      if (at < end || at % 8 !== 0 || at + registers.size > size) {
        throw new RangeError(`register window at 0x${at.toString(16)}: overlaps, is not aligned to 8, or does not fit`);
      }
      end = at + registers.size;
    }
  }

  read(offset: number, width: 1 | 2 | 4): number {
    const window = this.#windowOf(offset);
    if (window === undefined) return 0;
    const within = offset - window.at;
    const silent = window.silence?.(within);
    if (silent === undefined) return window.registers.read(within, width);
    return width === 4 ? silent : (silent >>> ((offset % 4) * 8)) & (width === 2 ? 0xffff : 0xff);
  }

  write(offset: number, width: 1 | 2 | 4, value: number): void {
    const window = this.#windowOf(offset);
    if (window === undefined || window.silence?.(offset - window.at) !== undefined) return;
    window.registers.write(offset - window.at, width, value);
  }

  #windowOf(offset: number): RegisterWindow | undefined {
    return this.#windows.find(({ at, registers }) => offset >= at && offset < at + registers.size);
  }
}
