import type { ModelRegion } from "@vfio-selftests/vfio-user";
import { PciRegion } from "@vfio-selftests/vfio-user";
import { CapabilitiesModel } from "./capabilities-model";

/** Offsets and ids, kept apart from the declarations under test. */
const AT = { power: 0x40, vpd: 0x48, msi: 0x50, express: 0x68, features: 0xa4, vendor: 0xf4, vsec: 0x188 } as const;
const FLAG = 0x8000;

function open(pciX: 0 | 1 | 2 = 0): { model: CapabilitiesModel; config: ModelRegion; bar: ModelRegion } {
  const model = new CapabilitiesModel({ pciX });
  return {
    model,
    config: model.regions.get(PciRegion.config) as ModelRegion,
    bar: model.regions.get(PciRegion.bar0) as ModelRegion,
  };
}

function readData(config: ModelRegion, address: number): number {
  config.write(AT.vpd + 2, 2, address);
  expect(config.read(AT.vpd + 2, 2)).toBe(address | FLAG);
  return config.read(AT.vpd + 4, 4);
}

/** All of the vital product data, up to its end tag. */
function allData(config: ModelRegion): Buffer {
  const words = Array.from({ length: 32 }, (_, i) => readData(config, i * 4));
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
  return bytes;
}

/** The resources of PCI 3.0, appendix I: tag, first byte of the content, and its end. */
function resources(bytes: Buffer): { tag: number; start: number; end: number }[] {
  const found: { tag: number; start: number; end: number }[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes.readUInt8(at);
    const large = (tag & 0x80) !== 0;
    const start = at + (large ? 3 : 1);
    const end = start + (large ? bytes.readUInt16LE(at + 1) : tag & 7);
    found.push({ tag, start, end });
    if (tag >> 3 === 0x0f) return found;
    at = end;
  }
  throw new Error("no end tag");
}

function expectWritable(config: ModelRegion, offsets: readonly number[]): void {
  for (const offset of offsets) {
    const before = config.read(offset, 1);
    config.write(offset, 1, ~before & 0xff);
    expect([offset, config.read(offset, 1)]).not.toEqual([offset, before]);
  }
}

describe("CapabilitiesModel", () => {
  it("has a power management event, which the driver can clear and disable", () => {
    const { model, config } = open();
    expect([config.read(AT.power + 2, 2), config.read(AT.power + 4, 2)]).toEqual([0xf803, 0x8108]);
    config.write(AT.power + 4, 2, 0x8008);
    expect(config.read(AT.power + 4, 2)).toBe(0x0008);
    model.reset();
    expect(config.read(AT.power + 4, 2)).toBe(0x8108);
  });

  it("lists its capabilities in both lists, with the hidden ones first, last and between", () => {
    const { config } = open();
    const standard: number[] = [];
    for (let at = config.read(0x34, 1); at !== 0; at = config.read(at + 1, 1)) standard.push(config.read(at, 1));
    expect(standard).toEqual([0x01, 0x03, 0x0d, 0x05, 0x10, 0x13, 0x08, 0x12, 0x07, 0x09, 0x0a]);
    const extended: number[] = [];
    for (let at = 0x100; at !== 0; at = config.read(at, 4) >>> 20) extended.push(config.read(at, 4) & 0xffff);
    expect(extended).toEqual([0x3f, 0x02, 0x03, 0x04, 0x0b, 0x0d, 0x0c, 0x16, 0x17, 0x23, 0x15]);
  });

  it("has vital product data with a checksum, which ends on a word", () => {
    const { config } = open();
    const bytes = allData(config);
    const list = resources(bytes);
    expect(list.map(({ tag }) => tag)).toEqual([0x82, 0x90, 0x91, 0x78]);
    const [identifier, readOnly, , end] = list;
    expect(bytes.toString("latin1", identifier?.start, identifier?.end)).toBe("Rare capabilities");
    // RV is the last field of the read-only resource, with one byte.
    const checksum = (readOnly?.end ?? 0) - 1;
    expect(bytes.toString("latin1", checksum - 3, checksum - 1)).toBe("RV");
    expect(bytes.subarray(0, checksum + 1).reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
    expect((end?.end ?? 1) % 4).toBe(0);
  });

  it("keeps what is written to the read-write resource, over every reset, and nothing else", () => {
    const { model, config } = open();
    const before = allData(config);
    const writable = resources(before)[2];
    const word = ((writable?.end ?? 0) - 4) & ~3;
    for (const at of [0, word, before.length]) {
      config.write(AT.vpd + 4, 4, 0x5a5a_5a5a);
      config.write(AT.vpd + 2, 2, at | FLAG);
      expect(config.read(AT.vpd + 2, 2)).toBe(at);
    }
    config.write(AT.express + 8, 2, 0x8000);
    model.reset();
    const expected = Buffer.from(before);
    expected.writeUInt32LE(0x5a5a_5a5a, word);
    expect(allData(config)).toEqual(expected);
  });

  it("moves no data before the flag's byte is written", () => {
    const { config } = open();
    config.write(AT.vpd + 2, 1, 4);
    expect(config.read(AT.vpd + 2, 2)).toBe(4);
    config.write(AT.vpd + 3, 1, 0);
    expect(config.read(AT.vpd + 2, 2)).toBe(4 | FLAG);
  });

  it.each([
    ["PCI Express", AT.express + 8, 2, 0x8000],
    ["advanced features", AT.features + 4, 1, 0x01],
  ] as const)("forgets everything in a function level reset by %s, whose bit reads 0", (_, control, width, bit) => {
    const { config, bar } = open();
    for (const at of [AT.vendor + 4, AT.vsec + 8, 0x10]) config.write(at, 4, 0xffff_ffff);
    bar.write(0x3c, 4, 0x1234);
    config.write(control, width, bit);
    expect([AT.vendor + 4, AT.vsec + 8, 0x10].map((at) => config.read(at, 4))).toEqual([0, 0, 0]);
    expect([bar.read(0x3c, 4), config.read(control, width) & bit]).toEqual([0, 0]);
  });

  it("keeps its header over VFIO's reset", () => {
    const { model, config, bar } = open();
    config.write(0x04, 2, 0x0006);
    config.write(0x10, 4, 0xfebf_1000);
    config.write(AT.vendor + 4, 4, 0xffff_ffff);
    bar.write(0, 4, 1);
    model.reset();
    expect([config.read(0x04, 2), config.read(0x10, 4)]).toEqual([0x0006, 0xfebf_1000]);
    expect([config.read(AT.vendor + 4, 4), bar.read(0, 4)]).toEqual([0, 0]);
  });

  it.each([
    ["PCI-X", 0xe0, 8],
    ["HyperTransport", 0xac, 28],
    ["SATA", 0xcc, 16],
    ["advanced features", 0xa4, 6],
    ["virtual channels", 0x110, 0x40],
    ["serial number", 0x160, 12],
    ["power budgeting", 0x170, 16],
    ["access control", 0x1a8, 16],
    ["power allocation", 0x1c4, 21],
    ["processing hints", 0x1dc, 24],
  ])("takes writes to the last byte of %s, and to the byte behind it", (_, at, length) => {
    expectWritable(open().config, [at + length - 1, at + length]);
  });

  it.each([1, 2] as const)(
    "takes writes to the last byte of PCI-X of version %i, and to the byte behind it",
    (version) => {
      expectWritable(open(version).config, [0xac + 23, 0xac + 24]);
    },
  );

  it.each([0, 1, 2] as const)("tells PCI-X's version %i, which nobody can change", (version) => {
    const { config } = open(version);
    const command = (version === 0 ? 0xe0 : 0xac) + 2;
    for (const written of [0, 0xffff]) {
      config.write(command, 2, written);
      expect((config.read(command, 2) >> 12) & 3).toBe(version);
    }
  });

  it("has one resizable BAR, which has the one size that it can have", () => {
    const { model, config } = open();
    const [sizes, control] = [config.read(0x214, 4), config.read(0x218, 4)];
    expect([control & 7, (control >> 5) & 7]).toEqual([2, 1]);
    const size = (control >> 8) & 0x3f;
    expect(sizes).toBe(1 << (size + 4));
    expect(model.regions.get(PciRegion.bar0 + 2)?.size).toBe(2 ** (20 + size));
    config.write(0x218, 4, 0xffff_ffff);
    expect(config.read(0x218, 4)).toBe(control);
  });

  it("has as many vectors as its MSI capability says, each with a mask", () => {
    const { model, config } = open();
    const control = config.read(AT.msi + 2, 2);
    expect([...model.irqs.values()].map(({ count }) => count)).toEqual([1 << ((control >> 1) & 7)]);
    expect(control & 0x180).toBe(0x180);
    config.write(AT.msi + 16, 4, 0xffff_ffff);
    expect(config.read(AT.msi + 16, 4)).toBe(0xf);
  });
});
