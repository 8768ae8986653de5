import type { NativeIo } from "./binding";

/** What the addon gives: the accessors, and 32-bit ones whose arguments lie in memory that both sides see. */
export interface AddonIo extends NativeIo {
  /** Two 32-bit words: offset, value. */
  readonly slot: ArrayBuffer;
  /** Reads at the slot's offset into its value. Undefined, or `-errno`. */
  readonly slotLoad32: () => number | undefined;
  /** Writes the slot's value at its offset. Undefined, or `-errno`. */
  readonly slotStore32: () => number | undefined;
}

const OFFSET = 0;
const VALUE = 1;

/**
 * The same accessors, the 32-bit ones by the slot: half of the cost, since Node-API's conversions of arguments and
 * results are calls of their own. What is no 32-bit number goes the long way, which checks it and says what is wrong.
 */
export function withQuickAccess({ slot, slotLoad32, slotStore32, ...io }: AddonIo): NativeIo {
  const words = new Uint32Array(slot);
  const { read32, write32 } = io;
  return Object.freeze({
    ...io,
    read32: (offset: number): number => {
      if (!isUnsigned32(offset)) return read32(offset);
      words[OFFSET] = offset;
      return slotLoad32() ?? (words[VALUE] as number);
    },
    write32: (offset: number, value: number): number => {
      if (!isUnsigned32(offset) || !(isUnsigned32(value) || isSigned32(value))) return write32(offset, value);
      words[OFFSET] = offset;
      words[VALUE] = value;
      return slotStore32() ?? 0;
    },
  });
}

// The type is asked first: `>>>` and `|` call an object's methods and throw for a bigint.
function isUnsigned32(value: unknown): value is number {
  return typeof value === "number" && value >>> 0 === value;
}

function isSigned32(value: unknown): value is number {
  return typeof value === "number" && (value | 0) === value;
}
