import fc from "fast-check";
import { IoatFixture, Offset } from "../testing/ioat-fixture";
import { Chanctrl } from "./registers/bar0";

/** Bits of a descriptor's control: interrupt, completion write; and the operation of a fill. */
const [INTERRUPT, COMPLETION, FILL] = [0x1, 0x8, 0x0100_0000];
const BYTES = 0x10_0000;
const DESTINATION = IoatFixture.data + 0x20_0000n;

/** A device in the midst of a chain of copies and fills. */
function busy(options: ConstructorParameters<typeof IoatFixture>[0] = {}): IoatFixture {
  const fixture = new IoatFixture(options);
  fixture.data.subarray(0, BYTES).forEach((_, i, data) => (data[i] = (i * 7) ^ (i >> 8)));
  fixture.bar.write(Offset.CHANCTRL, 2, Chanctrl.errorInterruptEnable | Chanctrl.inUse);
  fixture.bar.write(Offset.INTRCTRL, 1, 0x8);
  fixture.write64(Offset.CHANCMP, IoatFixture.completion);
  fixture.describe(0, { size: BYTES });
  fixture.describe(1, { size: 0x1_0001, control: FILL, source: 0x0807_0605_0403_0201n, destination: DESTINATION + 3n });
  fixture.describe(2, { size: 500, control: COMPLETION | INTERRUPT, destination: DESTINATION + 0x10_0000n });
  fixture.write64(Offset.CHAINADDR, IoatFixture.at(0));
  fixture.bar.write(Offset.DMACOUNT, 2, 3);
  return fixture;
}

/** Moves a device's state, and the memory that was its client's, to another device. */
function moved(source: IoatFixture, target = new IoatFixture()): IoatFixture {
  const state = source.model.migration.save(0);
  target.model.migration.load(state, []);
  expect(target.model.migration.save(0)).toEqual(state);
  target.descriptors.set(source.descriptors);
  target.data.set(source.data);
  target.completion.set(source.completion);
  return target;
}

function registersOf({ bar, config }: IoatFixture): number[] {
  const values: number[] = [];
  for (const region of [config, bar]) {
    for (let at = 0; at < region.size; at += 4) if (at !== Offset.INTRCTRL - 3) values.push(region.read(at, 4));
  }
  return values;
}

test.each([true, false])(
  "a copy begins on one device and ends on another, stopped after any step (shared: %s)",
  (shared) => {
    const whole = busy({ shared });
    let steps = 1;
    while (whole.model.step()) steps += 1;
    expect(steps).toBeGreaterThan(shared ? 3 : 15);
    for (let stop = 0; stop <= steps; stop += 1) {
      const source = busy({ shared });
      for (let i = 0; i < stop; i += 1) source.model.step();
      const target = moved(source, new IoatFixture({ shared }));
      target.run();
      expect(Buffer.compare(target.data, whole.data)).toBe(0);
      expect([stop, target.completionWord]).toEqual([stop, whole.completionWord]);
      expect(source.host.interrupts.length + target.host.interrupts.length).toBe(1);
      expect(registersOf(target)).toEqual(registersOf(whole));
    }
  },
);

test("every register of both regions is the same after the move, whatever software wrote", () => {
  const access = fc.tuple(fc.boolean(), fc.nat(0x1ff), fc.constantFrom(1 as const, 2 as const, 4 as const), fc.nat());
  fc.assert(
    fc.property(fc.array(access, { maxLength: 60 }), fc.nat(5), (writes, steps) => {
      // Time passes only while a device works: the rest of an interrupt's delay is compared, too.
      let milliseconds = 0;
      let working = false;
      const clock = { now: () => (working ? ++milliseconds : milliseconds) };
      const source = busy(clock);
      for (const [config, at, width, value] of writes) {
        const offset = at - (at % width);
        (config ? source.config : source.bar).write(offset, width, value);
      }
      working = true;
      for (let i = 0; i < steps; i += 1) source.model.step();
      working = false;
      const target = moved(source, new IoatFixture(clock));
      expect(registersOf(target)).toEqual(registersOf(source));
      working = true;
      source.run(50);
      target.run(50);
      expect(Buffer.compare(target.data, source.data)).toBe(0);
    }),
    {
      numRuns: 60,
      // An interrupt that is delayed by 2,001 us.
      examples: [[[[false, 12, 4, 393136081]], 4]],
    },
  );
});

test("a delayed interrupt comes on the other device", () => {
  let time = 0;
  const clock = { now: () => time };
  const source = new IoatFixture(clock);
  source.bar.write(Offset.INTRCTRL, 1, 0x8);
  source.bar.write(Offset.INTRDELAY, 2, 2000);
  source.describe(0, { control: INTERRUPT });
  source.write64(Offset.CHAINADDR, IoatFixture.at(0));
  source.bar.write(Offset.DMACOUNT, 2, 1);
  source.model.step();
  time = 1;
  const target = moved(source, new IoatFixture(clock));
  expect([target.model.step(), target.host.interrupts]).toEqual([true, []]);
  time = 2;
  target.model.step();
  expect([target.model.step(), target.host.interrupts.length]).toEqual([false, 1]);
});

test("a halted channel stays halted, with its error", () => {
  const source = new IoatFixture();
  source.submit(IoatFixture.nowhere, 1);
  const target = moved(source);
  expect([target.status, target.error, target.lastDescriptor]).toEqual([3, source.error, IoatFixture.nowhere]);
});

test("bytes that are no state of the device are refused", () => {
  const source = busy();
  source.model.step();
  const { migration } = source.model;
  const state = migration.save(0);
  expect(() => migration.load(state.subarray(0, -1), [])).toThrow(RangeError);
  expect(() => migration.load(Buffer.concat([state, Uint8Array.of(0)]), [])).toThrow(RangeError);
  fc.assert(
    fc.property(fc.nat(state.length - 1), fc.nat(255), (at, value) => {
      const altered = Uint8Array.from(state);
      altered[at] = value;
      try {
        migration.load(altered, []);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
      // Whatever it became, it serves on and ends.
      source.run(20);
      source.model.reset();
    }),
  );
});
