import fc from "fast-check";
import { Crc32c } from "./crc32c";

const plain = { bypassInversion: false, bypassDataReflection: false };

function crc(bytes: Uint8Array, seed = 0, options = plain): number {
  const computation = new Crc32c(seed, options);
  computation.update(bytes);
  return computation.value;
}

/** Computes bit by bit, from the definition: data and state as polynomials, most significant coefficient first. */
function byDefinition(
  bytes: Uint8Array,
  seed: number,
  { bypassInversion, bypassDataReflection }: typeof plain,
): number {
  const reflect = (value: number, bits: number) => {
    let out = 0;
    for (let i = 0; i < bits; i++) if ((value >>> i) & 1) out |= 1 << (bits - 1 - i);
    return out >>> 0;
  };
  let state = bypassInversion ? seed : reflect(~seed >>> 0, 32);
  for (const byte of bytes) {
    state ^= (bypassDataReflection ? byte : reflect(byte, 8)) << 24;
    for (let bit = 0; bit < 8; bit++) state = state & 0x8000_0000 ? (state << 1) ^ 0x1edc6f41 : state << 1;
  }
  return bypassInversion ? state >>> 0 : ~reflect(state >>> 0, 32) >>> 0;
}

describe("Crc32c", () => {
  it("gives the check values of RFC 3720, appendix B.4", () => {
    expect(crc(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
    expect(crc(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
    expect(crc(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113fdb5c);
  });

  it("agrees with the definition for any seed, length and flags", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.boolean(),
        fc.boolean(),
        (bytes, seed, bypassInversion, bypassDataReflection) => {
          const options = { bypassInversion, bypassDataReflection };
          expect(crc(bytes, seed, options)).toBe(byDefinition(bytes, seed, options));
        },
      ),
    );
  });

  it("continues where a partial computation stopped", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.uint8Array({ maxLength: 100 }),
        fc.boolean(),
        (a, b, bypass) => {
          const options = { bypassInversion: bypass, bypassDataReflection: false };
          expect(crc(b, crc(a, 7, options), options)).toBe(crc(Uint8Array.from([...a, ...b]), 7, options));
        },
      ),
    );
  });
});
