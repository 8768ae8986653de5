import type { StateReader, StateWriter } from "../migration/state-bytes";
import type { RegisterDeclaration, RegisterDeclarations } from "./declaration";
import { Register, Register64, type RegisterCell } from "./register";
import { offsetsOf, type RegisterMap } from "./register-map";

type CellOf<D extends RegisterDeclaration> = D extends { readonly bytes: 8 } ? Register64 : Register;
type ValueOf<D extends RegisterDeclaration> = D extends { readonly bytes: 8 } ? bigint : number;

/** One handle per declaration, or an array of them where it repeats. */
export type RegistersOf<D extends RegisterDeclarations> = {
  readonly [N in keyof D]: D[N] extends { readonly repeat: object } ? readonly CellOf<D[N]>[] : CellOf<D[N]>;
};

/** What the device does at software's accesses to a register. `index` counts within a repeated declaration. */
export interface RegisterHooks<Value> {
  /** Updates the value before software sees it. */
  beforeRead?(index: number): void;
  /** Called after software has seen the value and read-to-clear bits are gone. Bit n of `lanes`: byte n was read. */
  afterRead?(index: number, lanes: number): void;
  /** False drops software's write (to a register that the present state locks). */
  writable?(index: number): boolean;
  /**
   * Called after the masks were applied. `written` is software's value, with 0 in the bytes it did not write. Bit n of
   * `lanes`: byte n was written.
   */
  afterWrite?(written: Value, lanes: number, index: number): void;
}

/** What the device does at accesses to its registers, by their names. */
export type HooksOf<D extends RegisterDeclarations> = {
  readonly [N in keyof D]?: RegisterHooks<ValueOf<D[N]>>;
};

/**
 * The registers of one device: their values, and software's accesses by the declared rules. An access may cover part of
 * a register, or several in ascending order. Bytes that belong to no register read 0 and ignore writes. A register file
 * has the shape of a `ModelRegion`, so it can serve as a region.
 */
export class RegisterFile<D extends RegisterDeclarations = RegisterDeclarations> {
  /** The registers by their names, for the device's own code: no access rule applies to it. */
  readonly registers: RegistersOf<D>;
  /** Bytes of the map's range. */
  readonly size: number;

  readonly #cells: RegisterCell[] = [];
  readonly #hooks: (RegisterHooks<number | bigint> | undefined)[] = [];
  /** For every byte of the map: its register's position in `#cells`, plus one. 0 where there is none. */
  readonly #owner: Uint16Array;
  /** Result of the access under way, so that no access needs a bigint or an object. */
  #low = 0;
  #high = 0;

  /**
   * Every register has its declared value. `hooks` run before and after software's accesses, by the register's name.
   */
  constructor(map: RegisterMap<D>, hooks: HooksOf<D> = {}) {
    this.size = map.size;
    this.#owner = new Uint16Array(map.size);
    const registers: Record<string, RegisterCell | RegisterCell[]> = {};
    for (const [name, declaration] of Object.entries<RegisterDeclaration>(map.declarations)) {
      const cells = offsetsOf(declaration).map((offset, index) => {
        const cell =
          declaration.bytes === 8
            ? new Register64(name, offset, index, declaration)
            : new Register(name, offset, index, declaration);
        this.#cells.push(cell);
        this.#hooks.push(hooks[name]);
        this.#owner.fill(this.#cells.length, offset, offset + declaration.bytes);
        return cell;
      });
      registers[name] = declaration.repeat === undefined ? (cells[0] as RegisterCell) : cells;
    }
    if (this.#cells.length > 0xffff) throw new RangeError(`register map ${map.name}: more than 65535 registers`);
    this.registers = registers as RegistersOf<D>;
  }

  /** Software reads 1, 2 or 4 bytes at `offset`. */
  read(offset: number, width: 1 | 2 | 4): number {
    this.#gather(offset, width);
    return this.#low >>> 0;
  }

  /** Software reads 8 bytes at once. */
  read64(offset: number): bigint {
    this.#gather(offset, 8);
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
  }

  /** Software writes 1, 2 or 4 bytes at `offset`. */
  write(offset: number, width: 1 | 2 | 4, value: number): void {
    this.#scatter(offset, width, value >>> 0, 0);
  }

  /** Software writes 8 bytes at once. */
  write64(offset: number, value: bigint): void {
    this.#scatter(offset, 8, Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
  }

  /** Collects an access of `width` bytes in `#low` and `#high`, register by register. */
  #gather(offset: number, width: number): void {
    let low = 0;
    let high = 0;
    let position = 0;
    while (position < width) {
      const owner = this.#owner[offset + position];
      if (owner === undefined || owner === 0) {
        position++;
        continue;
      }
      const cell = this.#cells[owner - 1] as RegisterCell;
      const first = offset + position - cell.offset;
      const count = Math.min(cell.declaration.bytes - first, width - position);
      const allowed = this.#sample(owner - 1, cell, first, count);
      for (let i = 0; i < count; i++) {
        const bits = allowed ? byteOf(this.#low, this.#high, first + i) : 0xff;
        if (position < 4) low |= bits << (position * 8);
        else high |= bits << ((position - 4) * 8);
        position++;
      }
    }
    this.#low = low;
    this.#high = high;
  }

  /**
   * Puts a register's value into `#low` and `#high`, with the side effects of a read. False if the width is refused.
   */
  #sample(n: number, cell: RegisterCell, first: number, count: number): boolean {
    if (!cell.allows(first, count)) return false;
    const hooks = this.#hooks[n];
    hooks?.beforeRead?.(cell.index);
    const { low, high } = cell;
    cell.afterRead(lanes(first, count, 0), lanes(first, count, 4));
    hooks?.afterRead?.(cell.index, byteMask(first, count));
    this.#low = low;
    this.#high = high;
    return true;
  }

  #scatter(offset: number, width: number, low: number, high: number): void {
    let position = 0;
    while (position < width) {
      const owner = this.#owner[offset + position] ?? 0;
      if (owner === 0) {
        position++;
        continue;
      }
      const cell = this.#cells[owner - 1] as RegisterCell;
      const first = offset + position - cell.offset;
      const count = Math.min(cell.declaration.bytes - first, width - position);
      let cellLow = 0;
      let cellHigh = 0;
      for (let i = 0; i < count; i++) {
        const bits = byteOf(low, high, position++);
        const byte = first + i;
        if (byte < 4) cellLow |= bits << (byte * 8);
        else cellHigh |= bits << ((byte - 4) * 8);
      }
      this.#store(owner - 1, cell, first, count, cellLow >>> 0, cellHigh >>> 0);
    }
  }

  #store(n: number, cell: RegisterCell, first: number, count: number, low: number, high: number): void {
    if (!cell.allows(first, count)) return;
    const hooks = this.#hooks[n];
    if (hooks?.writable?.(cell.index) === false) return;
    cell.merge(low, high, lanes(first, count, 0), lanes(first, count, 4));
    hooks?.afterWrite?.(cell.compose(low, high), byteMask(first, count), cell.index);
  }

  /** The values of all registers, for a device that moves. */
  save(state: StateWriter): void {
    for (const { low, high } of this.#cells) state.u32(low, high);
  }

  /** Takes over the values that {@link save} wrote for the same map. No access rule and no hook applies. */
  load(state: StateReader): void {
    for (const cell of this.#cells) cell.restore(state.u32(), state.u32());
  }

  /** Resets every register to its declared value. `keepSticky` (a function level reset) leaves sticky bits alone. */
  reset(options: { keepSticky?: boolean } = {}): void {
    for (const cell of this.#cells) cell.reset(options.keepSticky ?? false);
  }
}

function byteMask(first: number, count: number): number {
  return ((1 << count) - 1) << first;
}

function byteOf(low: number, high: number, byte: number): number {
  return (byte < 4 ? low >>> (byte * 8) : high >>> ((byte - 4) * 8)) & 0xff;
}

/** Mask of the bits of bytes `first`..`first + count - 1` that fall into the half starting at byte `base` (0 or 4). */
function lanes(first: number, count: number, base: number): number {
  const from = Math.max(first - base, 0);
  const to = Math.min(first + count - base, 4);
  if (to <= from) return 0;
  const width = (to - from) * 8;
  return width === 32 ? 0xffff_ffff : (((1 << width) - 1) << (from * 8)) >>> 0;
}
