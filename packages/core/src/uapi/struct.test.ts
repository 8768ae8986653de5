import fc from "fast-check";
import { s32, struct, u8, u16, u32, u64 } from "./struct";

const layout = struct(24, { byte: u8(0), half: u16(2), word: u32(4), signed: s32(8), wide: u64(16) });
const { byte, half, word, signed, wide } = layout.fields;

describe("struct", () => {
  it("puts every field at its offset, in the byte order of the machine", () => {
    const view = layout.allocate();
    byte.set(view, 0x11);
    half.set(view, 0x2233);
    word.set(view, 0x44556677);
    signed.set(view, -2);
    wide.set(view, 0x0102030405060708n);
    expect(Buffer.from(view.bytes).toString("hex")).toBe("110033227766554" + "4feffffff000000000807060504030201");
    expect([byte.get(view), half.get(view), word.get(view), signed.get(view)]).toEqual([0x11, 0x2233, 0x44556677, -2]);
  });

  it("gives exactly its bytes, with what was asked for behind them", () => {
    expect(struct(12, { id: u32(8) }).allocate().bytes.length).toBe(12);
    expect(struct(20, { id: u32(8) }).allocate(3).bytes.length).toBe(23);
  });

  it("keeps 64-bit fields as bigint and as number", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const view = layout.allocate();
        wide.setNumber(view, value);
        expect(wide.getNumber(view)).toBe(value);
        expect(wide.get(view)).toBe(BigInt(value));
      }),
    );
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const view = layout.allocate();
        wide.set(view, value);
        expect(wide.get(view)).toBe(value);
      }),
    );
  });

  it("copies a structure out of any place of a reply, and refuses one that does not fit", () => {
    const reply = new Uint8Array(27).fill(0xff);
    reply[3] = 0x7f;
    expect(byte.get(layout.copyOf(reply, 3))).toBe(0x7f);
    expect(() => layout.copyOf(reply, 4)).toThrow("24 bytes at 4 ends behind the 27 bytes received");
  });

  it("refuses declarations that C could not have", () => {
    expect(() => struct(8, { late: u32(6) })).toThrow("not a multiple of 4");
    expect(() => struct(8, { late: u64(8) })).toThrow("field late ends after byte 8");
  });
});
