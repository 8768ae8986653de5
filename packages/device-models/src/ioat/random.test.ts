import fc from "fast-check";
import { IoatFixture, Offset } from "../testing/ioat-fixture";
import { ChannelStatus } from "./registers/bar0";
import { ChannelError } from "./registers/channel-error";

const DATA_BYTES = 0x4000;
const CHAIN = 8;

interface Step {
  readonly fill: boolean;
  readonly size: number;
  readonly source: number;
  readonly destination: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  fill: fc.boolean(),
  size: fc.integer({ min: 0, max: 0x800 }),
  source: fc.integer({ min: 0, max: DATA_BYTES }),
  destination: fc.integer({ min: 0, max: DATA_BYTES }),
});

/**
 * The chain's effect on memory and its end, straight from the specification's words. Where both addresses of a
 * descriptor are bad, the device chooses which it finds first.
 */
function reference(data: Uint8Array, steps: readonly Step[]): { done: number; errors: number[] } {
  let done = 0;
  for (const { fill, size, source, destination } of steps) {
    if (size === 0) return { done, errors: [ChannelError.descriptorLength] };
    const errors: number[] = [];
    if (!fill && source + size > DATA_BYTES) errors.push(ChannelError.sourceAddress);
    if (destination + size > DATA_BYTES) errors.push(ChannelError.destinationAddress);
    if (errors.length > 0) return { done, errors };
    const bytes = fill ? Uint8Array.from({ length: size }, (_, i) => (i % 8) + 1) : data.slice(source, source + size);
    data.set(bytes, destination);
    done++;
  }
  return { done, errors: [] };
}

describe("IOAT under random input", () => {
  it("changes memory as a plain reading of the chain says", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: CHAIN }), fc.boolean(), (steps, shared) => {
        const ioat = new IoatFixture({ dataBytes: DATA_BYTES, shared });
        ioat.data.forEach((_, i) => (ioat.data[i] = (i * 7) & 0xff));
        const expected = ioat.data.slice();
        steps.forEach(({ fill, size, source, destination }, i) =>
          ioat.describe(i, {
            size,
            control: fill ? 0x0100_0000 : 0,
            source: fill ? 0x0807_0605_0403_0201n : IoatFixture.data + BigInt(source),
            destination: IoatFixture.data + BigInt(destination),
          }),
        );
        const { done, errors } = reference(expected, steps);
        const good = errors.length === 0;
        ioat.submit(IoatFixture.at(0), steps.length);
        if (good) expect(ioat.error).toBe(0);
        else expect(errors).toContain(ioat.error);
        expect(ioat.status).toBe(good ? ChannelStatus.done : ChannelStatus.halted);
        expect(ioat.lastDescriptor).toBe(IoatFixture.at(good ? done - 1 : done));
        // A failed transfer may have moved the bytes before the fault.
        if (good) expect(Buffer.compare(ioat.data, expected)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it("never throws, never hangs, and works again after a reset, whatever software writes", () => {
    const offset = fc.oneof(fc.constantFrom(...Object.values(Offset)), fc.integer({ min: 0, max: 0x3ff8 }));
    const value = fc.oneof(
      fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      fc.constantFrom(0n, 1n, 4n, 0x10n, 0x20n, IoatFixture.at(0), IoatFixture.completion, 0xffff_ffff_ffff_ffffn),
    );
    const access = fc.record({
      kind: fc.constantFrom("write", "read", "config", "descriptor"),
      offset,
      width: fc.constantFrom(1, 2, 4, 8),
      value,
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
        const ioat = new IoatFixture({ dataBytes: DATA_BYTES });
        for (const { kind, offset: at, width, value: bits } of accesses) {
          const start = at - (at % width);
          const number = Number(bits & BigInt(2 ** (Math.min(width, 4) * 8) - 1));
          const narrow = Math.min(width, 4) as 1 | 2 | 4;
          if (kind === "config") ioat.config.write(start % 0x1000, narrow, number);
          else if (kind === "descriptor") new DataView(ioat.descriptors.buffer).setBigUint64(start % 0x200, bits, true);
          else if (kind === "read") ioat.bar.read(start, narrow);
          else if (width === 8) ioat.bar.write64?.(start, bits);
          else ioat.bar.write(start, narrow, number);
          ioat.run(3);
        }
        ioat.model.reset();
        expect(ioat.model.step()).toBe(false);
        ioat.config.write(0x04, 2, 0x6);
        ioat.bar.write(Offset.CHANERR, 4, 0xffff_ffff);
        ioat.bar.write(Offset.CHANERRMSK, 4, 0);
        ioat.data.set([0xab]);
        ioat.describe(0, { size: 1, destination: IoatFixture.data + 9n });
        ioat.submit(IoatFixture.at(0), 1);
        expect(ioat.status).toBe(ChannelStatus.done);
        expect(ioat.data[9]).toBe(0xab);
      }),
      { numRuns: 500 },
    );
  });
});
