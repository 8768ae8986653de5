import { RegisterFile } from "../registers/index";
import {
  advancedErrorReporting,
  configSpace,
  type HeaderDeclaration,
  msix,
  PcieType,
  pciExpress,
  powerManagement,
} from "./index";

const header: HeaderDeclaration = {
  vendor: 0x8086,
  device: 0x1234,
  revision: 3,
  classCode: 0x088000,
  interruptPin: 1,
  bars: [
    { index: 0, bytes: 0x4000, width: 64, prefetchable: true },
    { index: 2, bytes: 0x1000, width: 32 },
  ],
};

function sample(): RegisterFile {
  const map = configSpace("sample", {
    header,
    capabilities: [
      msix(0x80, { vectors: 4, table: { bar: 0, offset: 0x2000 }, pendingBits: { bar: 0, offset: 0x3000 } }),
      pciExpress(0x90, { type: PcieType.rootComplexIntegratedEndpoint }),
      powerManagement(0xe0),
    ],
    extended: [advancedErrorReporting(0x100)],
    registers: { OWN: { offset: 0x180, bytes: 4, writeOneToClear: 0xff } },
  });
  return new RegisterFile(map);
}

describe("configSpace", () => {
  it("identifies the device", () => {
    const file = sample();
    expect(file.read(0, 4)).toBe(0x1234_8086);
    expect(file.read(8, 4)).toBe(0x0880_0003);
    expect(file.read(0x0e, 1)).toBe(0);
    expect(file.read(0x3d, 1)).toBe(1);
  });

  it("links standard capabilities in order", () => {
    const file = sample();
    const found: [number, number][] = [];
    for (let at = file.read(0x34, 1); at !== 0; at = file.read(at + 1, 1)) found.push([at, file.read(at, 1)]);
    expect(found).toEqual([
      [0x80, 0x11],
      [0x90, 0x10],
      [0xe0, 0x01],
    ]);
    expect(file.read(0x06, 2) & 0x10).toBe(0x10);
  });

  it("starts the extended list at 0x100", () => {
    expect(sample().read(0x100, 4)).toBe(0x0002_0001);
  });

  it("shows a BAR's size by the bits that cannot be set", () => {
    const file = sample();
    for (const offset of [0x10, 0x14, 0x18, 0x1c]) file.write(offset, 4, 0xffff_ffff);
    expect([0x10, 0x14, 0x18, 0x1c].map((offset) => file.read(offset, 4))).toEqual([
      0xffff_c00c, 0xffff_ffff, 0xffff_f000, 0,
    ]);
  });

  it("lets software change of command and status only what PCI allows", () => {
    const file = sample();
    file.write(4, 4, 0xffff_ffff);
    expect(file.read(4, 4)).toBe(0x0010_0546);
  });

  it("keeps the PCI Express capability 0x3c bytes long", () => {
    expect(() =>
      configSpace("overlap", {
        header,
        capabilities: [pciExpress(0x90, { type: PcieType.endpoint }), powerManagement(0xc8)],
        extended: [],
        registers: {},
      }),
    ).toThrow(/PCIE and PM overlap/);
  });

  it.each([
    ["a BAR that is no power of two", { ...header, bars: [{ index: 0, bytes: 0x3000, width: 32 }] }, /power of two/],
    ["a 64-bit BAR5", { ...header, bars: [{ index: 5, bytes: 0x1000, width: 64 }] }, /BAR5/],
  ] as const)("refuses %s", (_, wrong, message) => {
    expect(() => configSpace("x", { header: wrong, capabilities: [], extended: [], registers: {} })).toThrow(message);
  });

  it.each([
    ["before", 0x3c],
    ["after", 0x48],
  ])("refuses a register of a capability that lies %s it", (_, offset) => {
    const capability = {
      name: "ODD",
      id: 9,
      at: 0x40,
      bytes: 8,
      registers: { ODD_VALUE: { offset, bytes: 4 } },
    } as const;
    expect(() => configSpace("x", { header, capabilities: [capability], extended: [], registers: {} })).toThrow(
      /ODD_VALUE lies outside ODD/,
    );
  });

  it("refuses a device register inside a capability", () => {
    expect(() =>
      configSpace("x", {
        header,
        capabilities: [powerManagement(0x40)],
        extended: [],
        registers: { OWN: { offset: 0x42, bytes: 2 } },
      }),
    ).toThrow(/overlap at 0x42/);
  });
});
