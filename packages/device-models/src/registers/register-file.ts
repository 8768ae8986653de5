import type { RegisterDeclaration, RegisterDeclarations } from "./declaration";
import { Register, Register64, type RegisterCell } from "./register";
import { offsetsOf, type RegisterMap } from "./register-map";

type CellOf<D extends RegisterDeclaration> = D extends { readonly bytes: 8 } ? Register64 : Register;
type ValueOf<D extends RegisterDeclaration> = D extends { readonly bytes: 8 } ? bigint : number;

/** One handle per declaration, or an array of them where it repeats. */
export type RegistersOf<D extends RegisterDeclarations> = {
  readonly [N in keyof D]: D[N] extends { readonly repeat: object } ? readonly CellOf<D[N]>[] : CellOf<D[N]>;
};

/** What the device does when software touches a register. `index` counts within a repeated declaration. */
export interface RegisterHooks<Value> {
  /** Brings the value up to date before software sees it. */
  beforeRead?(index: number): void;
  /** After software has seen the value and read-to-clear bits are gone. */
  afterRead?(index: number): void;
  /** False: software's write is dropped (a register locked in the present state). */
  writable?(index: number): boolean;
  /** After the masks were applied. `written` is what software wrote, bytes it did not write being 0; bit n of `lanes`: byte n was written. */
  afterWrite?(written: Value, lanes: number, index: number): void;
}

export type HooksOf<D extends RegisterDeclarations> = {
  readonly [N in keyof D]?: RegisterHooks<ValueOf<D[N]>>;
};

/**
 * The registers of one device: values, and software's accesses by the declared rules. Accesses may have any offset and
 * length within the map and may cover several registers, which then are served in ascending order. Bytes that belong
 * to no register read 0 and ignore writes.
 */
export class RegisterFile<D extends RegisterDeclarations = RegisterDeclarations> {
  readonly registers: RegistersOf<D>;
  readonly size: number;

  readonly #cells: RegisterCell[] = [];
  readonly #hooks: (RegisterHooks<number | bigint> | undefined)[] = [];
  /** For every byte of the map: position of its register in `#cells` plus one; 0 where there is none. */
  readonly #owner: Uint16Array;

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

  /** Software reads `into.length` bytes at `offset`; what lies outside the map reads all ones. */
  read(offset: number, into: Uint8Array): void {
    let position = 0;
    while (position < into.length) {
      const at = offset + position;
      const owner = this.#owner[at];
      if (owner === undefined || owner === 0) {
        into[position++] = owner === undefined ? 0xff : 0;
        continue;
      }
      const cell = this.#cells[owner - 1] as RegisterCell;
      const first = at - cell.offset;
      const count = Math.min(cell.declaration.bytes - first, into.length - position);
      this.#readCell(owner - 1, cell, first, into, position, count);
      position += count;
    }
  }

  #readCell(n: number, cell: RegisterCell, first: number, into: Uint8Array, position: number, count: number): void {
    if (!cell.allows(first, count)) {
      into.fill(0xff, position, position + count);
      return;
    }
    const hooks = this.#hooks[n];
    hooks?.beforeRead?.(cell.index);
    for (let i = 0; i < count; i++) {
      const byte = first + i;
      into[position + i] = byte < 4 ? cell.low >>> (byte * 8) : cell.high >>> ((byte - 4) * 8);
    }
    cell.afterRead(lanes(first, count, 0), lanes(first, count, 4));
    hooks?.afterRead?.(cell.index);
  }

  /** Software writes `from` at `offset`; what lies outside the map is ignored. */
  write(offset: number, from: Uint8Array): void {
    let position = 0;
    while (position < from.length) {
      const at = offset + position;
      const owner = this.#owner[at] ?? 0;
      if (owner === 0) {
        position++;
        continue;
      }
      const cell = this.#cells[owner - 1] as RegisterCell;
      const first = at - cell.offset;
      const count = Math.min(cell.declaration.bytes - first, from.length - position);
      this.#writeCell(owner - 1, cell, first, from, position, count);
      position += count;
    }
  }

  #writeCell(n: number, cell: RegisterCell, first: number, from: Uint8Array, position: number, count: number): void {
    if (!cell.allows(first, count)) return;
    const hooks = this.#hooks[n];
    if (hooks?.writable?.(cell.index) === false) return;
    let low = 0;
    let high = 0;
    for (let i = 0; i < count; i++) {
      const byte = first + i;
      const bits = from[position + i] as number;
      if (byte < 4) low |= bits << (byte * 8);
      else high |= bits << ((byte - 4) * 8);
    }
    cell.merge(low >>> 0, high >>> 0, lanes(first, count, 0), lanes(first, count, 4));
    hooks?.afterWrite?.(cell.compose(low >>> 0, high >>> 0), ((1 << count) - 1) << first, cell.index);
  }

  /** Every register back to its declared value; `keepSticky` (a function-level reset) leaves sticky bits alone. */
  reset(options: { keepSticky?: boolean } = {}): void {
    for (const cell of this.#cells) cell.reset(options.keepSticky ?? false);
  }
}

/** Mask of the bits of bytes `first`..`first + count - 1` that fall into the half starting at byte `base` (0 or 4). */
function lanes(first: number, count: number, base: number): number {
  const from = Math.max(first - base, 0);
  const to = Math.min(first + count - base, 4);
  if (to <= from) return 0;
  const width = (to - from) * 8;
  return width === 32 ? 0xffff_ffff : (((1 << width) - 1) << (from * 8)) >>> 0;
}
