import fc from "fast-check";
import { type RegisterDeclaration, RegisterFile, registerMap } from "./index";

const SLOTS = 8;

/** One register somewhere in each slot of 8 bytes, with disjoint random masks. */
const declarations = fc.array(
  fc.record({
    bytes: fc.constantFrom(1, 2, 4, 8),
    shift: fc.integer({ min: 0, max: 7 }),
    reset: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    readWrite: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    writeOneToClear: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    readToClear: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
  }),
  { minLength: SLOTS, maxLength: SLOTS },
);

const accesses = fc.array(
  fc.record({
    write: fc.boolean(),
    width: fc.constantFrom(1, 2, 4, 8),
    at: fc.nat(SLOTS * 8 - 1),
    value: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
  }),
  { maxLength: 80 },
);

/** The same rules byte by byte, the simplest way to say them. */
class ByteModel {
  readonly value = new Uint8Array(SLOTS * 8);
  readonly readWrite = new Uint8Array(SLOTS * 8);
  readonly writeOneToClear = new Uint8Array(SLOTS * 8);
  readonly readToClear = new Uint8Array(SLOTS * 8);

  define(offset: number, bytes: number, masks: Record<"value" | MaskName, bigint>): void {
    for (let i = 0; i < bytes; i++) {
      for (const key of ["value", ...MASK_NAMES] as const) {
        this[key][offset + i] = Number((masks[key] >> BigInt(8 * i)) & 0xffn);
      }
    }
  }

  read(at: number, width: number): bigint {
    let result = 0n;
    for (let i = 0; i < width; i++) {
      result |= BigInt(this.value[at + i] as number) << BigInt(8 * i);
      (this.value[at + i] as number) &= ~(this.readToClear[at + i] as number);
    }
    return result;
  }

  write(at: number, width: number, value: bigint): void {
    for (let i = 0; i < width; i++) {
      const byte = Number((value >> BigInt(8 * i)) & 0xffn);
      const set = this.readWrite[at + i] as number;
      const old = this.value[at + i] as number;
      this.value[at + i] = ((old & ~set) | (byte & set)) & ~((this.writeOneToClear[at + i] as number) & byte);
    }
  }
}

type MaskName = "readWrite" | "writeOneToClear" | "readToClear";
const MASK_NAMES: readonly MaskName[] = ["readWrite", "writeOneToClear", "readToClear"];

describe("RegisterFile under random accesses", () => {
  it("follows the declared masks bit by bit, at every width", () => {
    fc.assert(
      fc.property(declarations, accesses, (specs, sequence) => {
        const bytewise = new ByteModel();
        const map: Record<string, RegisterDeclaration> = {};
        specs.forEach((spec, slot) => {
          const bytes = spec.bytes;
          const offset = slot * 8 + (spec.shift - (spec.shift % bytes));
          const width = (1n << BigInt(bytes * 8)) - 1n;
          const readWrite = spec.readWrite & width;
          const writeOneToClear = spec.writeOneToClear & ~readWrite & width;
          const readToClear = spec.readToClear & ~readWrite & ~writeOneToClear & width;
          const value = spec.reset & width;
          map[`R${slot}`] = { offset, bytes, reset: value, readWrite, writeOneToClear, readToClear };
          bytewise.define(offset, bytes, { value, readWrite, writeOneToClear, readToClear });
        });
        const file = new RegisterFile(registerMap("random", SLOTS * 8, map));
        for (const { write, width, at, value } of sequence) {
          const start = at - (at % width);
          if (write) {
            if (width === 8) file.write64(start, value);
            else file.write(start, width, Number(value & 0xffff_ffffn));
            bytewise.write(start, width, value);
          } else {
            const read = width === 8 ? file.read64(start) : BigInt(file.read(start, width));
            expect(read).toBe(bytewise.read(start, width));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("never accepts declarations that share a byte", () => {
    const register = fc.record({ offset: fc.nat(60), bytes: fc.constantFrom<1 | 2 | 4 | 8>(1, 2, 4, 8) });
    fc.assert(
      fc.property(register, register, (a, b) => {
        const aligned = [a, b].map(({ offset, bytes }) => ({ offset: offset - (offset % bytes), bytes }));
        const [first, second] = aligned as [RegisterDeclaration, RegisterDeclaration];
        const apart = first.offset + first.bytes <= second.offset || second.offset + second.bytes <= first.offset;
        const make = (): unknown => registerMap("two", 0x40, { A: first, B: second });
        if (apart) expect(make).not.toThrow();
        else expect(make).toThrow(/overlap/);
      }),
    );
  });
});
