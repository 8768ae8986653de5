import { Iommu, PciDevice } from "@vfio-selftests/core";
import { type DriverInstance, DriverSession } from "@vfio-selftests/core/driver";
import { allocatedBytes, FakeIommuBackend, thrownBy } from "@vfio-selftests/core/testing";
import { nvFalconDriver } from "./nv-falcon-driver";
import { ScriptedGpu } from "./testing/scripted-gpu";

/** The engine may box a time or two (16 bytes each). One BigInt, closure or object for each copy takes more. */
const MOST_BYTES = 40;
const HOPPER = 0x1800_00a1;

let cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
});

function setUp(options: ConstructorParameters<typeof ScriptedGpu>[0] = {}): {
  gpu: ScriptedGpu;
  device: PciDevice;
  create: () => DriverInstance;
} {
  const gpu = new ScriptedGpu(options);
  const device = new PciDevice(gpu);
  cleanup.push(() => device.close());
  // The driver does not look at its region.
  return { gpu, device, create: () => nvFalconDriver.create(device, undefined as never) };
}

/** What was written to the falcon and its FBIF, from its base on. */
const falconWrites = (gpu: ScriptedGpu, base = 0x110000): string[] =>
  gpu.writes
    .map((write) => write.split(" = ") as [string, string])
    .filter(([at]) => parseInt(at, 16) >= base && parseInt(at, 16) < base + 0x2000)
    .map(([at, value]) => `${(parseInt(at, 16) - base).toString(16)} = ${value}`);

describe("probe", () => {
  it.each([
    0x0e40_a0a2, 0x0f22_d0a1, 0x1080_00a1, 0x1170_10a2, 0x1243_20a1, 0x1300_00a1, 0x1340_00a1, 0x1400_00a1, 0x1640_00a1,
    0xb770_00a1, 0x1800_00a1, 0x1940_00a1,
  ])("takes the GPU with PMC_BOOT_0 0x%x", (boot0) => {
    expect(nvFalconDriver.probe?.(setUp({ boot0 }).device)).toBe(true);
  });

  it.each([0x0d00_00a1, 0x1500_00a1, 0x1b20_00a1, 0xffff_ffff])("refuses PMC_BOOT_0 0x%x and names it", (boot0) => {
    expect(nvFalconDriver.probe?.(setUp({ boot0 }).device)).toContain(`PMC_BOOT_0 is 0x${boot0.toString(16)}`);
  });

  it.each([
    ["another vendor", { vendor: 0x8086 }, /no display controller of NVIDIA/],
    ["NVIDIA's sound", { classCode: 0x0403 }, /no display controller of NVIDIA/],
    ["a GPU without registers", { barBytes: 0 }, /BAR 0 has 0 bytes/],
  ])("refuses %s, and does not touch its registers", (_, options, reason) => {
    const { gpu, device } = setUp(options);
    expect(nvFalconDriver.probe?.(device)).toMatch(reason);
    expect(gpu.writes).toEqual([]);
  });
});

describe("bringing up", () => {
  const CONFIGURED = (fbif: number): string[] => [
    "1c0 = 0",
    `${fbif.toString(16)} = 5`,
    `${(fbif + 0x84).toString(16)} = 1`,
    `${(fbif + 0x24).toString(16)} = 90`,
    "10c = 0",
  ];

  it.each([
    ["Pascal 10x", 0x1340_00a1, 0x10a000, 0xe00],
    ["Volta", 0x1400_00a1, 0x110000, 0x600],
    ["Turing", 0x1640_00a1, 0x110000, 0x600],
    ["Ampere", 0x1700_00a1, 0x110000, 0x600],
    ["Ada", 0x1940_00a1, 0x10a000, 0xe00],
  ])("resets by ENGINE, selects the falcon, and configures it (%s)", (_, boot0, base, fbif) => {
    const { gpu, create } = setUp({ boot0 });
    gpu.set(base + 0x1668, 0x30);
    gpu.set(base + 0x10c, 1);
    gpu.set(base + fbif, 2);
    create();
    const configured = CONFIGURED(fbif);
    // What FBIF_TRANSCFG held beyond its target stays.
    expect(falconWrites(gpu, base)).toEqual(["3c0 = 1", "3c0 = 0", "1668 = 0", ...configured]);
    expect(gpu.writes.slice(0, 2)).toEqual(["config 4 = 2", "config 4 = 6"]);
  });

  it.each([
    ["Kepler", 0x0f22_d0a1, 0x600, 0x2000_2000],
    ["Maxwell 1", 0x1170_10a2, 0x600, 0x2000_2000],
    ["Maxwell 2", 0x1243_20a1, 0xe00, 0x2000],
    ["P100", 0x1300_00a1, 0xe00, 0x2000],
  ])("resets by PMC_ENABLE, and leaves other engines alone (%s)", (_, boot0, fbif, mask) => {
    const { gpu, create } = setUp({ boot0 });
    gpu.set(0x200, 0xffff_ffff);
    create();
    expect(gpu.writes.filter((write) => write.startsWith("200 "))).toEqual([
      `200 = ${(~mask >>> 0).toString(16)}`,
      "200 = ffffffff",
    ]);
    expect(falconWrites(gpu, 0x10a000)).toEqual(["1668 = 0", ...CONFIGURED(fbif)]);
  });

  it("resets Ada's falcon once more where it answers nothing", () => {
    const { gpu, create } = setUp({ boot0: 0x1940_00a1 });
    gpu.set(0x10a40c, 0xbadf_5620);
    create();
    expect(falconWrites(gpu, 0x10a000).slice(0, 3)).toEqual(["3c0 = 1", "3c0 = 1", "3c0 = 0"]);
  });

  it("waits for the end of scrubbing", () => {
    const { gpu, create } = setUp();
    gpu.scrubbing = 3;
    create();
    expect(gpu.scrubbing).toBe(0);
  });

  it("asks Hopper's FSP for DMA, and resets nothing", () => {
    const { gpu, create } = setUp({ boot0: HOPPER });
    gpu.set(0x8f_2c10, 0x900);
    create();
    expect(gpu.writes.filter((write) => write.startsWith("8f"))).toEqual([
      "8f2c14 = 800",
      "8f2c10 = 800",
      "8f2c94 = 800",
      "8f2c90 = 800",
      "8f2ad0 = 3000800",
      "8f2ad4 = c0000000",
      "8f2ad4 = 2210de7e",
      "8f2ad4 = 1",
      "8f2c14 = 808",
      "8f2c10 = 800",
      "8f2ad0 = 3000800",
      "8f2c94 = 800",
    ]);
    expect(falconWrites(gpu, 0x844000)).toEqual(CONFIGURED(0x400));
  });

  it.each([
    ["an error", [0xc000_0000, 0x1510_de7e, 0, 0x22, 5]],
    ["an answer to something else", [0xc000_0000, 0x1510_de7e, 0, 0x14, 0]],
    ["no answer's type", [0xc000_0000, 0x2210_de7e, 0, 0x22, 0]],
    ["too short an answer", [0xc000_0000, 0x1510_de7e]],
  ])("reports %s of FSP with its words", (_, answer) => {
    const { gpu, create } = setUp({ boot0: HOPPER });
    gpu.answer = answer;
    const error = thrownBy(create);
    expect([error.code, error.message]).toEqual(["EIO", expect.stringContaining("its answer: 0xc0000000")]);
  });

  it("reports firmware that does not allow DMA", () => {
    const { gpu, create } = setUp({ boot0: HOPPER });
    gpu.set(0x84_43c0, 0xbadf_1234);
    expect(thrownBy(create)).toMatchObject({ code: "EOPNOTSUPP", remedy: "update the GPU's firmware" });
  });
});

describe("copying", () => {
  const copied = (source: bigint, destination: bigint, size: number): string[] => {
    const { gpu, create } = setUp();
    const instance = create();
    gpu.writes.length = 0;
    instance.memcpyStart(source, destination, size, 1);
    instance.memcpyWait();
    return gpu.writes;
  };

  it("loads a block and stores it: address, place in DMEM, command", () => {
    expect(copied(0xfedc_ba98_7654_3200n, 0x1_0000n, 256)).toEqual([
      "100f04 = 1fdb9",
      "110128 = 3a",
      "110110 = 98765432",
      "11011c = 0",
      "110114 = 0",
      "110118 = 600",
      "100f04 = 0",
      "110128 = 0",
      "110110 = 100",
      "11011c = 0",
      "110114 = 0",
      "110118 = 620",
    ]);
  });

  const transfers = (writes: readonly string[]): string[] => {
    const registers = new Map<string, string>();
    return writes.flatMap((write) => {
      const [register, value] = write.split(" = ") as [string, string];
      registers.set(register, value);
      const [block, offset, place] = ["110110", "11011c", "110114"].map((name) => registers.get(name));
      return register === "110118" ? [`${block}+${offset} @${place}: ${value}`] : [];
    });
  };

  it("goes by powers of two, within blocks, as far as addresses and DMEM agree", () => {
    expect(transfers(copied(0x10fcn, 0x2004n, 24))).toEqual([
      "10+fc @fc: 0",
      "11+0 @100: 200",
      "11+10 @110: 0",
      "20+4 @fc: 20",
      "20+8 @100: 120",
      "20+10 @108: 120",
      "20+18 @110: 20",
    ]);
  });

  it("stores no more at once than DMEM's side allows", () => {
    const loads = ["10+4 @4: 0", "10+8 @8: 100"];
    expect(transfers(copied(0x1004n, 0x2100n, 12))).toEqual([...loads, "21+0 @4: 20", "21+4 @8: 20", "21+8 @c: 20"]);
  });

  it("carries into the upper half of an address", () => {
    expect(copied(0x1_ffff_ff80n, 0x1000n, 256).filter((write) => /^(100f04|110128|110110)/.test(write))).toEqual([
      "100f04 = 0",
      "110128 = 0",
      "110110 = 1ffffff",
      "100f04 = 0",
      "110128 = 0",
      "110110 = 2000000",
      "100f04 = 0",
      "110128 = 0",
      "110110 = 10",
    ]);
  });

  it("reports a refused read, stores nothing of it, and can copy again", () => {
    const { gpu, create } = setUp();
    const instance = create();
    for (let round = 0; round < 2; round++) {
      gpu.behaviour = "aborts reads";
      gpu.writes.length = 0;
      instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
      const error = thrownBy(() => instance.memcpyWait());
      expect([error.code, error.message]).toEqual([
        "EIO",
        expect.stringMatching(/received master abort.*Turing's GSP/),
      ]);
      expect(gpu.writes.filter((write) => write.startsWith("110118"))).toEqual(["110118 = 400"]);
      gpu.behaviour = "ends";
      instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
      expect(() => instance.memcpyWait()).not.toThrow();
    }
  });

  it("cannot tell of a second refused read where nobody may clear PCI STATUS, and takes no old one for new", () => {
    const { gpu, create } = setUp();
    gpu.statusClears = false;
    gpu.behaviour = "aborts reads";
    const instance = create();
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    expect(thrownBy(() => instance.memcpyWait()).code).toBe("EIO");
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
    expect(nvFalconDriver.hiddenFaults?.kinds).toEqual(["unmapped", "read-only"]);
  });

  it("gives up on a hung device in time, reports its state, and resets the falcon", () => {
    const { gpu, create } = setUp();
    const instance = create();
    gpu.behaviour = "hangs";
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    expect(instance.memcpyEnded()).toBe(false);
    gpu.writes.length = 0;
    const error = thrownBy(() => instance.memcpyWait({ timeoutMs: 20 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/waited 20 ms .*DMATRFCMD 0x400.*DMATRFBASE 0x10/);
    expect(falconWrites(gpu).slice(0, 1)).toEqual(["3c0 = 1"]);
    expect(instance.memcpyEnded()).toBe(true);
    gpu.behaviour = "ends";
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("reports a falcon that does not come up again, and tries again before the next copy", () => {
    const { gpu, create } = setUp();
    const instance = create();
    gpu.behaviour = "hangs";
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    gpu.scrubbing = Infinity;
    const error = thrownBy(() => instance.memcpyWait({ timeoutMs: 1 }));
    expect(error.message).toMatch(/^waited 1 ms for the falcon's transfer[^]*Recovery failed: .* scrubbing has ended/);
    expect(() => instance.memcpyStart(0x1000n, 0x2000n, 64, 1)).toThrow(/scrubbing has ended/);
    gpu.scrubbing = 0;
    gpu.behaviour = "ends";
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("resets the whole GPU where a hung falcon has no reset", () => {
    const { gpu, create } = setUp({ boot0: HOPPER });
    const instance = create();
    gpu.behaviour = "hangs";
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    expect(thrownBy(() => instance.memcpyWait({ timeoutMs: 1 })).code).toBe("ETIMEDOUT");
    expect(gpu.resets).toBe(1);
  });
});

/** docs/architecture.md, rule 2, with registers in memory: only the driver and what is below it run. */
it("a copy makes no BigInt, object or closure", () => {
  const gpu = new ScriptedGpu();
  using iommu = new Iommu(new FakeIommuBackend(() => gpu));
  using device = PciDevice.open(iommu, gpu.address);
  using session = new DriverSession(nvFalconDriver, device, iommu);
  const bar = device.bar(0);
  bar.write32 = () => undefined;
  bar.read32 = () => 0x2;
  device.config.read16 = () => 0;
  const [source, destination] = [0x1_0000_0004n, 0x2_0000_0000n];
  const bytes = allocatedBytes(() => {
    session.memcpyStart(source, destination, 252);
    session.memcpyWait();
  });
  expect(bytes).toBeLessThan(MOST_BYTES);
});

describe("remove", () => {
  it("puts the falcon into reset and ends bus mastering, once, also during a copy", () => {
    const { gpu, device, create } = setUp();
    const instance = create();
    gpu.behaviour = "hangs";
    instance.memcpyStart(0x1000n, 0x2000n, 64, 1);
    gpu.writes.length = 0;
    instance.remove();
    expect(gpu.writes).toEqual(["1103c0 = 1", "config 4 = 2"]);
    expect(device.config.busMaster).toBe(false);
    instance.remove();
    expect(gpu.writes).toHaveLength(2);
  });
});

it("names its registers, each at a place of its own", () => {
  const registers = nvFalconDriver.registers?.[0]?.registers ?? {};
  expect(registers).toMatchObject({
    PMC_BOOT_0: { offset: 0, bytes: 4 },
    GSP_DMATRFCMD: { offset: 0x110118 },
    PMU_FBIF_CTL: { offset: 0x10ae24 },
    PMU_LEGACY_FBIF_CTL: { offset: 0x10a624 },
    OFA_FBIF_TRANSCFG: { offset: 0x844400 },
  });
  const offsets = Object.values(registers).map(({ offset }) => offset);
  expect(new Set(offsets).size).toBe(offsets.length);
});
