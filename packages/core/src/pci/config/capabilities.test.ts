import fc from "fast-check";
import { type ConfigReader, walkCapabilities, walkExtendedCapabilities } from "./capabilities";

function reader(bytes: Uint8Array): ConfigReader & { reads: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    size: bytes.length,
    reads: 0,
    read8(offset) {
      this.reads++;
      return view.getUint8(offset);
    },
    read16(offset) {
      this.reads++;
      return view.getUint16(offset, true);
    },
    read32(offset) {
      this.reads++;
      return view.getUint32(offset, true);
    },
  };
}

/** A configuration space with the capability list bit set and these (offset, byte…) patches. */
function space(size: number, ...patches: [offset: number, ...bytes: number[]][]): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes[0x06] = 0x10;
  for (const [offset, ...values] of patches) bytes.set(values, offset);
  return bytes;
}

describe("walkCapabilities", () => {
  test("gives the list in its own order, with names", () => {
    const config = reader(space(256, [0x34, 0x70], [0x70, 0x05, 0x40], [0x40, 0x01, 0xa0], [0xa0, 0x11, 0x00]));
    expect(walkCapabilities(config)).toEqual({
      capabilities: [
        { id: 5, name: "MSI", offset: 0x70 },
        { id: 1, name: "Power Management", offset: 0x40 },
        { id: 0x11, name: "MSI-X", offset: 0xa0 },
      ],
    });
  });

  test("is empty when the status register has no capability list", () => {
    const bytes = space(256, [0x34, 0x40], [0x40, 0x05, 0x00]);
    bytes[0x06] = 0;
    expect(walkCapabilities(reader(bytes))).toEqual({ capabilities: [] });
  });

  test("masks the reserved low bits of pointers", () => {
    const config = reader(space(256, [0x34, 0x43], [0x40, 0x05, 0x51], [0x50, 0x10, 0x02]));
    expect(walkCapabilities(config).capabilities.map(({ offset }) => offset)).toEqual([0x40, 0x50]);
  });

  test("keeps what it found before a loop, and names the loop", () => {
    const config = reader(space(256, [0x34, 0x40], [0x40, 0x05, 0x50], [0x50, 0x01, 0x40]));
    const { capabilities, problem } = walkCapabilities(config);
    expect(capabilities).toHaveLength(2);
    expect(problem).toBe("capability list loops back to 0x40");
  });

  test("refuses a pointer into the header", () => {
    expect(walkCapabilities(reader(space(256, [0x34, 0x10]))).problem).toMatch("pointer 0x10 is outside 0x40..0xfe");
  });

  test("stops where the device does not answer", () => {
    expect(walkCapabilities(reader(new Uint8Array(256).fill(0xff))).problem).toMatch("reads as all ones");
  });

  test("terminates on any content, with few reads", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), (bytes) => {
        bytes[0x06]! |= 0x10;
        const config = reader(bytes);
        const { capabilities } = walkCapabilities(config);
        expect(capabilities.length).toBeLessThanOrEqual(48);
        expect(config.reads).toBeLessThanOrEqual(2 + 2 * 48);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("walkExtendedCapabilities", () => {
  const header = (id: number, version: number, next: number): [number, number, number, number] => {
    const value = id | (version << 16) | (next << 20);
    return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
  };

  test("gives the list with versions", () => {
    const config = reader(space(4096, [0x100, ...header(1, 2, 0x150)], [0x150, ...header(0x10, 1, 0)]));
    expect(walkExtendedCapabilities(config)).toEqual({
      capabilities: [
        { id: 1, name: "Advanced Error Reporting", offset: 0x100, version: 2 },
        { id: 0x10, name: "Single Root I/O Virtualization", offset: 0x150, version: 1 },
      ],
    });
  });

  test("lists a capability that vfio-pci hides at 0x100 as Null, and follows its pointer", () => {
    const config = reader(space(4096, [0x100, ...header(0, 0, 0x140)], [0x140, ...header(3, 1, 0)]));
    expect(walkExtendedCapabilities(config).capabilities.map(({ name }) => name)).toEqual([
      "Null",
      "Device Serial Number",
    ]);
  });

  test.each([
    ["conventional configuration space", new Uint8Array(256)],
    ["a zero header", new Uint8Array(4096)],
    ["a header of all ones", new Uint8Array(4096).fill(0xff)],
  ])("is empty for %s", (_, bytes) => {
    expect(walkExtendedCapabilities(reader(bytes))).toEqual({ capabilities: [] });
  });

  test("refuses a pointer below 0x100", () => {
    const config = reader(space(4096, [0x100, ...header(1, 1, 0x40)]));
    expect(walkExtendedCapabilities(config).problem).toMatch("pointer 0x40 is outside 0x100..0xffc");
  });

  test("terminates on any content, with few reads", () => {
    // Headers that mostly point somewhere valid make long chains and loops. Pure noise would end at once.
    const chains = fc.array(
      fc.record({
        at: fc.integer({ min: 64, max: 1023 }),
        next: fc.integer({ min: 60, max: 1023 }),
        id: fc.nat(0xffff),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4096, maxLength: 4096 }), chains, (bytes, links) => {
        for (const { at, next, id } of links) bytes.set(header(id, 1, next * 4), at * 4);
        const config = reader(bytes);
        expect(walkExtendedCapabilities(config).capabilities.length).toBeLessThanOrEqual(960);
        expect(config.reads).toBeLessThanOrEqual(961);
      }),
      { numRuns: 300 },
    );
  });
});
