import fc from "fast-check";
import { type FakeRegion, FakeVfioDevice } from "../../testing/fake-vfio-device";
import { Bar } from "./bar";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

const memory = { kind: "memory", is64Bit: false, prefetchable: false } as const;
const devices: FakeVfioDevice[] = [];

function open(region: FakeRegion): { bar: Bar; device: FakeVfioDevice; accesses: string[] } {
  const accesses: string[] = [];
  const device = new FakeVfioDevice({
    address: "0000:01:00.0",
    regions: { 0: region },
    onAccess: ({ kind, offset, length }) => accesses.push(`${kind} ${length} at 0x${offset.toString(16)}`),
  });
  devices.push(device);
  return { bar: new Bar(device, 0, memory), device, accesses };
}

afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});

function exerciseEveryWidth(bar: Bar): void {
  bar.write64(0x40, 0x8877665544332211n);
  expect(bar.read64(0x40)).toBe(0x8877665544332211n);
  expect(bar.read32(0x44)).toBe(0x88776655);
  expect(bar.read16(0x42)).toBe(0x4433);
  expect(bar.read8(0x47)).toBe(0x88);
  bar.write32(0x40, 0xdeadbeef);
  bar.write16(0x44, 0xcafe);
  bar.write8(0x46, 0x5a);
  expect(bar.read64(0x40)).toBe(0x885acafedeadbeefn);
  const source = Uint8Array.from({ length: 80 }, (_, i) => i);
  bar.store64Bytes(0x80, source, 16);
  expect([bar.read8(0x80), bar.read8(0xbf), bar.read8(0xc0)]).toEqual([16, 79, 0]);
}

describe("a BAR that can be mapped", () => {
  test("is accessed by its mapping with every width, and not through the device", () => {
    const { bar, device, accesses } = open({ size: 8192 });
    exerciseEveryWidth(bar);
    expect(accesses).toEqual([]);
    expect([...device.peek(0, 0x40, 4)]).toEqual([0xef, 0xbe, 0xad, 0xde]);
    bar.close();
  });

  test("gives its mapping, aligned to its size for huge pages", () => {
    const { bar } = open({ size: 1 << 22 });
    expect(bar.mapping).toMatchObject({ length: 1 << 22, closed: false });
    expect(bar.mapping!.address % BigInt(1 << 22)).toBe(0n);
    expect(bar.mappings).toEqual([bar.mapping]);
    bar.close();
    expect(() => bar.mapping).toThrow(withCode("ERR_CLOSED"));
  });

  test("smaller than a page ends at its own size", () => {
    const { bar } = open({ size: 256 });
    exerciseEveryWidth(bar);
    expect(bar.read32(252)).toBe(0);
    expect(() => bar.read32(256)).toThrow(/offset is 256; allowed: multiples of 4 from 0 to 252/);
    expect(() => bar.write64(256, 1n)).toThrow(/offset is 256/);
    bar.close();
  });
});

describe("a BAR that cannot be mapped", () => {
  test("is accessed through the device, one access each, of the right width", () => {
    const { bar, accesses } = open({ size: 4096, mappableAreas: [] });
    exerciseEveryWidth(bar);
    expect(accesses.slice(0, 5)).toEqual([
      "write 8 at 0x40",
      "read 8 at 0x40",
      "read 4 at 0x44",
      "read 2 at 0x42",
      "read 1 at 0x47",
    ]);
    expect(accesses).toContain("write 64 at 0x80");
    expect(bar.mappable).toBe(false);
    expect(bar.mapping).toBeUndefined();
    bar.close();
  });
});

test.each<[string, Partial<FakeRegion>]>([
  ["mapped", {}],
  ["not mappable", { mappableAreas: [] }],
])("a read-only BAR that is %s refuses writes", (_, region) => {
  const { bar } = open({ size: 4096, writable: false, ...region });
  expect(bar.read32(0)).toBe(0);
  expect(() => bar.write32(0, 1)).toThrow(withCode("EACCES"));
  expect(() => bar.store64Bytes(0, new Uint8Array(64))).toThrow(withCode("EACCES"));
  bar.close();
});

test.each<[string, FakeRegion]>([
  ["mapped", { size: 4096 }],
  ["not mappable", { size: 4096, mappableAreas: [] }],
])("values that do not fit the width are refused by a BAR that is %s", (_, region) => {
  const { bar } = open(region);
  bar.write32(0, -1);
  expect(bar.read32(0)).toBe(0xffffffff);
  bar.write64(8, -2n);
  expect(bar.read64(8)).toBe(0xfffffffffffffffen);
  for (const call of [
    () => bar.write8(0, 256),
    () => bar.write16(0, -32769),
    () => bar.write32(0, 2 ** 32),
    () => bar.write32(0, 0.5),
    () => bar.write64(0, 2n ** 64n),
  ]) {
    expect(call).toThrow(/value/);
  }
  expect(bar.read64(0)).toBe(0xffffffffn);
  bar.close();
});

describe("a BAR of which parts can be mapped", () => {
  const areas = [
    { offset: 0, size: 4096 },
    { offset: 8192, size: 4096 },
  ];

  test("uses each part's mapping, and the device for the rest", () => {
    const { bar, device, accesses } = open({ size: 16384, mappableAreas: areas });
    for (const offset of [0, 4096, 8192, 12288]) bar.write32(offset, 0x1000 + offset);
    expect(accesses).toEqual(["write 4 at 0x1000", "write 4 at 0x3000"]);
    for (const offset of [0, 4096, 8192, 12288]) {
      expect(bar.read32(offset)).toBe(0x1000 + offset);
      expect(new DataView(device.peek(0, offset, 4).buffer).getUint32(0, true)).toBe(0x1000 + offset);
    }
    expect(bar.mapping).toBeUndefined();
    expect(bar.mappings).toHaveLength(2);
    bar.close();
  });

  test("keeps every byte where a flat region has it", () => {
    const { bar } = open({ size: 16384, mappableAreas: areas });
    const flat = new DataView(new ArrayBuffer(16384));
    const access = fc.record({
      word: fc.nat(16384 / 4 - 1),
      value: fc.nat(0xffffffff),
      width: fc.constantFrom(1, 2, 4),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 50 }), (accesses) => {
        for (const { word, value, width } of accesses) {
          const offset = word * 4;
          if (width === 4) {
            bar.write32(offset, value);
            flat.setUint32(offset, value, true);
          } else if (width === 2) {
            bar.write16(offset, value & 0xffff);
            flat.setUint16(offset, value & 0xffff, true);
          } else {
            bar.write8(offset, value & 0xff);
            flat.setUint8(offset, value & 0xff);
          }
          expect(bar.read32(offset)).toBe(flat.getUint32(offset, true));
          expect(bar.read16(offset + 2)).toBe(flat.getUint16(offset + 2, true));
        }
      }),
    );
    bar.close();
  });
});

describe.each<[string, FakeRegion]>([
  ["mapped", { size: 8192 }],
  ["smaller than a page", { size: 512 }],
  ["not mappable", { size: 8192, mappableAreas: [] }],
  ["partly mappable", { size: 8192, mappableAreas: [{ offset: 4096, size: 4096 }] }],
])("bad offsets of a BAR that is %s", (_, region) => {
  test("are refused by a clear error and never reach the device", () => {
    const { bar, accesses } = open(region);
    const { size } = region;
    const bad = [-4, 2, size, size + 4, size - 2, 0.5, NaN, Infinity, 2 ** 53, "0" as unknown as number];
    for (const offset of bad) {
      for (const call of [
        () => bar.read32(offset),
        () => bar.write32(offset, 0),
        () => bar.read64(offset),
        () => bar.write64(offset, 0n),
        () => bar.store64Bytes(offset, new Uint8Array(64)),
      ]) {
        expect(call).toThrow(/offset|argument/i);
      }
    }
    expect(() => bar.read32(size)).toThrow(/0000:01:00\.0 .*: offset is \d+; allowed: multiples of 4 from 0 to \d+/);
    expect(accesses).toEqual([]);
    bar.close();
  });

  test("use after close is a clear error", () => {
    const { bar } = open(region);
    bar.write8(0, 1);
    bar.close();
    bar.close();
    expect(() => bar.read8(0)).toThrow(withCode("ERR_CLOSED"));
    expect(() => bar.write64(0, 0n)).toThrow(withCode("ERR_CLOSED"));
  });
});

test("a BAR that the device lacks says so", () => {
  const { bar } = open({ size: 0 });
  expect(() => bar.read32(0)).toThrow("0000:01:00.0 BAR 0 is not implemented by the device");
});
