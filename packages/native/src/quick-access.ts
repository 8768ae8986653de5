import type { NativeBinding, NativeIo } from "./binding";

/** The addon's object for a mapping, with its number in the slot. */
interface AddonIo extends NativeIo {
  readonly number: number;
}

/** The addon's exports: 32-bit accesses to all mappings, with arguments in memory that both sides see. */
export interface Addon extends NativeBinding {
  /** Three 32-bit words: number of the mapping, offset, value. */
  readonly ioSlot: ArrayBuffer;
  /** Reads at the slot's offset into its value. Undefined, or `-errno`. */
  readonly ioLoad32: () => number | undefined;
  /** Writes the slot's value at its offset. Undefined, or `-errno`. */
  readonly ioStore32: () => number | undefined;
}

const MAPPING = 0;
const OFFSET = 1;
const VALUE = 2;

/**
 * The addon as callers see it. Its 32-bit accessors use the slot, which halves the cost, because each of Node-API's
 * conversions of arguments and results is a call of its own. All mappings share the same accessors, methods here and
 * two functions in the addon, because a call site that meets several functions costs twice as much.
 */
export function withQuickAccess({ ioSlot, ioLoad32, ioStore32, ...addon }: Addon): NativeBinding {
  const words = new Uint32Array(ioSlot);

  class QuickIo implements NativeIo {
    readonly address: bigint;
    readonly length: number;
    readonly read8: NativeIo["read8"];
    readonly read16: NativeIo["read16"];
    readonly read64: NativeIo["read64"];
    readonly write8: NativeIo["write8"];
    readonly write16: NativeIo["write16"];
    readonly write64: NativeIo["write64"];
    readonly store64Bytes: NativeIo["store64Bytes"];
    readonly unmap: NativeIo["unmap"];
    readonly #number: number;
    /**
     * Handles arguments that are no 32-bit number: checks them and says what is wrong. It also keeps the mapping, and
     * so its number.
     */
    readonly #io: AddonIo;

    constructor(io: AddonIo) {
      this.address = io.address;
      this.length = io.length;
      this.read8 = io.read8;
      this.read16 = io.read16;
      this.read64 = io.read64;
      this.write8 = io.write8;
      this.write16 = io.write16;
      this.write64 = io.write64;
      this.store64Bytes = io.store64Bytes;
      this.unmap = io.unmap;
      this.#number = io.number;
      this.#io = io;
      Object.freeze(this);
    }

    read32(offset: number): number {
      if (!isUnsigned32(offset)) return this.#io.read32(offset);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      return ioLoad32() ?? (words[VALUE] as number);
    }

    write32(offset: number, value: number): number {
      if (!isUnsigned32(offset) || !(isUnsigned32(value) || isSigned32(value))) return this.#io.write32(offset, value);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      words[VALUE] = value;
      return ioStore32() ?? 0;
    }
  }

  return {
    ...addon,
    mapIo: (options) => {
      const io = addon.mapIo(options);
      return typeof io === "number" ? io : new QuickIo(io as AddonIo);
    },
  };
}

// The type comes first: `>>>` and `|` call an object's methods and throw for a bigint.
function isUnsigned32(value: unknown): value is number {
  return typeof value === "number" && value >>> 0 === value;
}

function isSigned32(value: unknown): value is number {
  return typeof value === "number" && (value | 0) === value;
}
