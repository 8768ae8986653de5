import type { NativeBinding, NativeIo } from "./binding";

type Checked = "read8" | "read16" | "read32" | "read64" | "write8" | "write16" | "write32" | "write64";

/** What the addon gives for a mapping, with its number in the slot. */
interface AddonIo extends Omit<NativeIo, Checked> {
  readonly number: number;
  /** Makes the accessors that take what the slot cannot hold, check it and say what is wrong. */
  readonly checked: () => Pick<NativeIo, Checked>;
}

/** Undefined, or `-errno`. */
type SlotAccess = () => number | undefined;

/** What the addon exports: accesses to all mappings, whose arguments lie in memory that both sides see. */
export interface Addon extends Omit<NativeBinding, "mapIo"> {
  readonly mapIo: (...parameters: Parameters<NativeBinding["mapIo"]>) => AddonIo | number;
  /** Number of the mapping (32 bits), offset (32 bits), value (64 bits). */
  readonly ioSlot: ArrayBuffer;
  /** Each reads at the slot's offset into its value. */
  readonly ioLoad8: SlotAccess;
  readonly ioLoad16: SlotAccess;
  readonly ioLoad32: SlotAccess;
  readonly ioLoad64: SlotAccess;
  /** Each writes the slot's value at its offset. */
  readonly ioStore8: SlotAccess;
  readonly ioStore16: SlotAccess;
  readonly ioStore32: SlotAccess;
  readonly ioStore64: SlotAccess;
}

/** In words of 32 bits; of a value up to 32 bits wide. */
const MAPPING = 0;
const OFFSET = 1;
const VALUE = 2;
/** In words of 64 bits. */
const WIDE_VALUE = 1;

/**
 * The addon as callers see it: its accessors go by the slot. That is half of the cost, since Node-API's conversions of
 * arguments and results are calls of their own. The accessors of all mappings are the same functions, methods here and
 * functions in the addon, because a call site that meets several functions costs twice as much.
 */
export function withQuickAccess(addon: Addon): NativeBinding {
  const { ioSlot, ioLoad8, ioLoad16, ioLoad32, ioLoad64, ioStore8, ioStore16, ioStore32, ioStore64, ...rest } = addon;
  const words = new Uint32Array(ioSlot);
  const wideWords = new BigUint64Array(ioSlot);

  class QuickIo implements NativeIo {
    readonly address: bigint;
    readonly length: number;
    readonly store64Bytes: NativeIo["store64Bytes"];
    readonly unmap: NativeIo["unmap"];
    readonly #number: number;
    /** Keeps the mapping, and so its number. */
    readonly #io: AddonIo;
    /** Made at the first need. */
    #madeChecked: Pick<NativeIo, Checked> | undefined;

    constructor(io: AddonIo) {
      this.address = io.address;
      this.length = io.length;
      this.store64Bytes = io.store64Bytes;
      this.unmap = io.unmap;
      this.#number = io.number;
      this.#io = io;
      Object.freeze(this);
    }

    read8(offset: number): number {
      if (!isUnsigned32(offset)) return this.#checked.read8(offset);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      return ioLoad8() ?? (words[VALUE] as number);
    }

    read16(offset: number): number {
      if (!isUnsigned32(offset)) return this.#checked.read16(offset);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      return ioLoad16() ?? (words[VALUE] as number);
    }

    read32(offset: number): number {
      if (!isUnsigned32(offset)) return this.#checked.read32(offset);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      return ioLoad32() ?? (words[VALUE] as number);
    }

    read64(offset: number): bigint | number {
      if (!isUnsigned32(offset)) return this.#checked.read64(offset);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      return ioLoad64() ?? (wideWords[WIDE_VALUE] as bigint);
    }

    write8(offset: number, value: number): number {
      if (!isUnsigned32(offset) || !isUnsigned32(value) || value > 0xff) return this.#checked.write8(offset, value);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      words[VALUE] = value;
      return ioStore8() ?? 0;
    }

    write16(offset: number, value: number): number {
      if (!isUnsigned32(offset) || !isUnsigned32(value) || value > 0xffff) return this.#checked.write16(offset, value);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      words[VALUE] = value;
      return ioStore16() ?? 0;
    }

    write32(offset: number, value: number): number {
      if (!isUnsigned32(offset) || !isAny32(value)) return this.#checked.write32(offset, value);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      words[VALUE] = value;
      return ioStore32() ?? 0;
    }

    write64(offset: number, value: bigint): number {
      if (!isUnsigned32(offset) || !isUnsigned64(value)) return this.#checked.write64(offset, value);
      words[MAPPING] = this.#number;
      words[OFFSET] = offset;
      wideWords[WIDE_VALUE] = value;
      return ioStore64() ?? 0;
    }

    get #checked(): Pick<NativeIo, Checked> {
      this.#madeChecked ??= this.#io.checked();
      return this.#madeChecked;
    }
  }

  return {
    ...rest,
    mapIo: (options) => {
      const io = addon.mapIo(options);
      return typeof io === "number" ? io : new QuickIo(io);
    },
  };
}

// The type comes first: `>>>` and `|` call an object's methods and throw for a bigint.
function isUnsigned32(value: unknown): value is number {
  return typeof value === "number" && value >>> 0 === value;
}

/** With or without a sign. One check of the type for both costs half a nanosecond less than one each. */
function isAny32(value: unknown): value is number {
  return typeof value === "number" && ((value | 0) === value || value >>> 0 === value);
}

function isUnsigned64(value: unknown): value is bigint {
  return typeof value === "bigint" && BigInt.asUintN(64, value) === value;
}
