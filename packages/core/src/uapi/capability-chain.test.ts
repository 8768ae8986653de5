import fc from "fast-check";
import { infoCapabilities } from "./capability-chain";

/** A reply of `length` bytes with headers [offset, id, next]. */
function reply(length: number, ...headers: [offset: number, id: number, next: number][]): Uint8Array {
  const bytes = new Uint8Array(length);
  const data = new DataView(bytes.buffer);
  for (const [offset, id, next] of headers) {
    data.setUint16(offset, id, true);
    data.setUint16(offset + 2, 1, true);
    data.setUint32(offset + 4, next, true);
  }
  return bytes;
}

describe("infoCapabilities", () => {
  it("follows the chain in its order", () => {
    const bytes = reply(64, [24, 1, 48], [48, 3, 32], [32, 2, 0]);
    expect(infoCapabilities(bytes, 24, 24)).toEqual([
      { id: 1, version: 1, offset: 24 },
      { id: 3, version: 1, offset: 48 },
      { id: 2, version: 1, offset: 32 },
    ]);
  });

  it("finds nothing where the reply has no chain", () => {
    expect(infoCapabilities(new Uint8Array(24), 0, 24)).toEqual([]);
  });

  it("refuses a loop, an offset into the structure and one behind the reply", () => {
    const refused = (bytes: Uint8Array, first: number) => () => infoCapabilities(bytes, first, 24);
    expect(refused(reply(64, [24, 1, 32], [32, 2, 24]), 24)).toThrow("leads to offset 24 of 64");
    expect(refused(reply(64, [24, 1, 8]), 24)).toThrow("leads to offset 8 of 64");
    expect(refused(reply(64, [24, 1, 60]), 24)).toThrow("leads to offset 60 of 64");
  });

  it("ends on any reply, however wrong", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 200 }), fc.nat(250), (bytes, first) => {
        try {
          expect(infoCapabilities(bytes, first, 24).length).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect((error as { code: string }).code).toBe("ERR_BAD_CAPABILITY_CHAIN");
        }
      }),
    );
  });
});
