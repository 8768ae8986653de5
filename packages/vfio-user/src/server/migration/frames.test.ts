import fc from "fast-check";
import { encodeFrame, FrameKind, FrameReader } from "./frames";
import { packState, unpackState } from "./server-state";

const identity = { name: "moving", version: 3 };
const contents = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 });

function stream(ahead: readonly Uint8Array[], state: Uint8Array): Uint8Array {
  return Buffer.concat([
    encodeFrame(identity, FrameKind.identity, new Uint8Array(0)),
    ...ahead.map((content) => encodeFrame(identity, FrameKind.ahead, content)),
    encodeFrame(identity, FrameKind.state, state, ahead.length),
  ]);
}

/** Writes bytes in pieces that end at `cuts`. Returns whether every piece was taken. */
function feed(reader: FrameReader, bytes: Uint8Array, cuts: readonly number[] = []): boolean {
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return ends.every((end, i) => reader.write(bytes.subarray(ends[i - 1] ?? 0, end)));
}

test("what was sent arrives, in pieces of any size", () => {
  fc.assert(
    fc.property(contents, fc.uint8Array(), fc.array(fc.nat()), (ahead, state, cuts) => {
      const reader = new FrameReader(identity);
      expect(feed(reader, stream(ahead, state), cuts)).toBe(true);
      expect(reader.arrived?.ahead.map((piece) => [...piece])).toEqual(ahead.map((piece) => [...piece]));
      expect([...(reader.arrived?.state ?? [])]).toEqual([...state]);
    }),
  );
});

test("data cut short anywhere have not arrived, are not invalid, and go on", () => {
  fc.assert(
    fc.property(contents, fc.uint8Array(), fc.nat(), (ahead, state, at) => {
      const bytes = stream(ahead, state);
      const cut = at % bytes.length;
      const reader = new FrameReader(identity);
      expect([reader.write(bytes.subarray(0, cut)), reader.arrived, reader.invalid]).toEqual([true, undefined, false]);
      expect(reader.write(bytes.subarray(cut))).toBe(true);
      expect(reader.arrived).toBeDefined();
    }),
  );
});

test("no altered bit arrives", () => {
  fc.assert(
    fc.property(contents, fc.uint8Array(), fc.nat(), fc.nat(7), (ahead, state, at, bit) => {
      const bytes = stream(ahead, state);
      const place = at % bytes.length;
      bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
      const reader = new FrameReader(identity);
      feed(reader, bytes);
      expect(reader.arrived).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["another device", { name: "other", version: 3 }],
  ["another version", { name: "moving", version: 4 }],
])("data of %s are refused with their first fields", (_name, other) => {
  const reader = new FrameReader(other);
  const first = encodeFrame(identity, FrameKind.identity, new Uint8Array(0)).subarray(0, 56);
  expect([reader.write(first), reader.invalid]).toEqual([false, true]);
});

test("a lost frame is noticed, and so is one more", () => {
  const piece = Uint8Array.of(1, 2, 3);
  const state = encodeFrame(identity, FrameKind.state, piece, 1);
  const lost = new FrameReader(identity);
  expect([feed(lost, state), lost.invalid]).toEqual([false, true]);
  const twice = new FrameReader(identity);
  const ahead = encodeFrame(identity, FrameKind.ahead, piece);
  expect(feed(twice, Buffer.concat([ahead, ahead, state]))).toBe(false);
});

test("bytes behind the end are not taken, and spoil nothing", () => {
  const reader = new FrameReader(identity);
  feed(reader, stream([], Uint8Array.of(9)));
  expect(reader.write(Uint8Array.of(0))).toBe(false);
  expect([...(reader.arrived?.state ?? [])]).toEqual([9]);
});

test("garbage never throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat()), (bytes, cuts) => {
      const reader = new FrameReader(identity);
      feed(reader, bytes, cuts);
      expect(reader.arrived).toBeUndefined();
      unpackState(bytes);
    }),
  );
});

test("pending interrupts and the model's bytes go together", () => {
  const vector = fc.record({ index: fc.nat(4), vector: fc.nat(2047) });
  fc.assert(
    fc.property(fc.array(vector), fc.uint8Array(), (pending, model) => {
      const unpacked = unpackState(packState({ pending, model }));
      expect([unpacked?.pending, [...(unpacked?.model ?? [])]]).toEqual([pending, [...model]]);
    }),
  );
});
