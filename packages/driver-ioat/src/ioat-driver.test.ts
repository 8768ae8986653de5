import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { type DriverInstance, DriverSession } from "@vfio-selftests/core/driver";
import { allocatedBytes, FakeIommuBackend, FakeVfioDevice, thrownBy } from "@vfio-selftests/core/testing";
import { ioatDriver } from "./ioat-driver";

const BAR0 = 0;
const CONFIG = 7;
const MSIX = 2;
/** The engine may box a time or two (16 bytes each). One BigInt, closure or object for each copy takes more. */
const MOST_BYTES = 40;

/** How the scripted device reacts to descriptors. */
type Behaviour = "completes" | "reports done" | "hangs" | "halts";

/** Just enough of an I/OAT channel to answer the driver. The package `tests` has the tests with a model. */
class ScriptedIoat extends FakeVfioDevice {
  behaviour: Behaviour = "completes";
  /** CHANCMD's reset bit never clears. */
  resetHangs = false;
  resets = 0;
  readonly writes: string[] = [];
  region: DmaRegion | undefined;

  constructor({ device = 0x2021, version = 0x33, xfercap = 20, barBytes = 0x4000 } = {}) {
    const config = new Uint8Array(4096);
    const view = new DataView(config.buffer);
    view.setUint16(0, 0x8086, true);
    view.setUint16(2, device, true);
    super({
      regions: { [BAR0]: { size: barBytes, mappableAreas: [] } },
      config,
      irqs: { [MSIX]: { count: 1, eventfd: true } },
    });
    if (barBytes < 0x4000) return;
    this.set(BAR0, 0x08, 1, version);
    this.set(BAR0, 0x01, 1, xfercap);
    this.set(BAR0, 0x88, 4, 3);
  }

  override writeRegion(index: number, offset: number, from: Uint8Array): void {
    const value = Buffer.from(from).readUIntLE(0, Math.min(from.length, 6));
    this.writes.push(`${index === CONFIG ? "config" : "bar"} 0x${offset.toString(16)} = 0x${value.toString(16)}`);
    const isError = (index === BAR0 && offset === 0xa8) || (index === CONFIG && (offset === 0x148 || offset === 0x180));
    if (isError) this.set(index, offset, 4, this.get(index, offset) & ~value);
    else super.writeRegion(index, offset, from);
    if (index === BAR0 && offset === 0x84) this.#command(value);
    if (index === BAR0 && offset === 0x86) this.#start(value);
  }

  override reset(): void {
    this.resets++;
    this.resetHangs = false;
    super.reset();
  }

  set(index: number, offset: number, bytes: number, value: number): void {
    const data = Buffer.alloc(bytes);
    data.writeUIntLE(value >>> 0, 0, bytes);
    this.poke(index, offset, data);
  }

  get(index: number, offset: number): number {
    return Buffer.from(this.peek(index, offset, 4)).readUInt32LE();
  }

  #command(command: number): void {
    if (command === 0x20 && this.resetHangs) return;
    this.set(BAR0, 0x84, 1, 0);
    this.set(BAR0, 0x88, 4, command === 0x20 ? 3 : 2);
  }

  #start(count: number): void {
    if (this.behaviour === "hangs") this.set(BAR0, 0x88, 4, 0);
    if (this.behaviour === "reports done") this.set(BAR0, 0x88, 4, 1);
    if (this.behaviour === "halts") {
      this.set(BAR0, 0x88, 4, 3);
      this.set(BAR0, 0xa8, 4, 0x101);
      this.set(CONFIG, 0x180, 4, 0x101);
      this.set(CONFIG, 0x148, 4, 0x400);
    }
    if (this.behaviour !== "completes") return;
    this.set(BAR0, 0x88, 4, 1);
    // The completion word is the region's second cache line.
    if (count === 1 && this.region) new DataView(this.region.memory.buffer as ArrayBuffer).setUint32(64, 0x1041, true);
  }
}

let cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
});

function setUp(options: ConstructorParameters<typeof ScriptedIoat>[0] = {}): {
  vfio: ScriptedIoat;
  device: PciDevice;
  create: () => DriverInstance;
} {
  const vfio = new ScriptedIoat(options);
  const device = new PciDevice(vfio);
  const iommu = new Iommu(new FakeIommuBackend(() => vfio));
  const memory = DmaMemory.allocate(ioatDriver.regionSize);
  const region = iommu.map(memory);
  vfio.region = region;
  cleanup.push(
    () => memory.close(),
    () => region.unmap(),
    () => device.close(),
  );
  return { vfio, device, create: () => ioatDriver.create(device, region) };
}

describe("probe", () => {
  it.each([0x32, 0x33, 0x34])("takes version %d (3.2 to 3.4)", (version) => {
    expect(ioatDriver.probe?.(setUp({ version }).device)).toBe(true);
  });

  it.each([0x12, 0x20, 0x30, 0xff])("refuses version %d with the reason", (version) => {
    expect(ioatDriver.probe?.(setUp({ version }).device)).toMatch(/version register is 0x/);
  });

  it("refuses a device without BAR0", () => {
    expect(ioatDriver.probe?.(setUp({ barBytes: 0 }).device)).toMatch(/BAR0 has 0 bytes/);
  });

  it("knows the devices of version 3.2 to 3.4 that the kernel knows", () => {
    const devices = ioatDriver.ids?.map(({ device }) => device) ?? [];
    expect(devices).toHaveLength(new Set(devices).size);
    expect(devices).toEqual(expect.arrayContaining([0x2021, 0x0b00, 0x3c20, 0x3c2f, 0x0e27, 0x6f2e, 0x0c53, 0x6f50]));
    // Version 3.0 (Tylersburg) and before.
    expect(devices).not.toContain(0x3430);
  });
});

describe("bringing up", () => {
  it("resets, then programs interrupts, completion address and channel control", () => {
    const { vfio, create } = setUp();
    create();
    const completion = `0x${((vfio.region?.iova ?? 0n) + 64n).toString(16)}`;
    expect(vfio.writes).toEqual([
      "config 0x4 = 0x406",
      "config 0x180 = 0x0",
      "config 0x148 = 0x0",
      "bar 0xa8 = 0x0",
      "bar 0x84 = 0x20",
      "bar 0x3 = 0x8",
      `bar 0x98 = ${completion}`,
      "bar 0x80 = 0xd",
    ]);
  });

  it("clears each error register with its own value", () => {
    const { vfio, create } = setUp();
    vfio.set(CONFIG, 0x180, 4, 0x3);
    vfio.set(CONFIG, 0x148, 4, 0x10);
    vfio.set(BAR0, 0xa8, 4, 0x800);
    create();
    expect(vfio.writes).toEqual(
      expect.arrayContaining(["config 0x180 = 0x3", "config 0x148 = 0x10", "bar 0xa8 = 0x800"]),
    );
    expect([vfio.get(CONFIG, 0x180), vfio.get(CONFIG, 0x148), vfio.get(BAR0, 0xa8)]).toEqual([0, 0, 0]);
  });

  it("leaves config space alone on a device that has no errors there", () => {
    const { vfio, create } = setUp({ device: 0x0c50 });
    create();
    expect(vfio.writes.filter((write) => write.startsWith("config"))).toEqual(["config 0x4 = 0x406"]);
  });

  it("uses only the low five bits of XFERCAP", () => {
    expect(setUp({ xfercap: 0xb4 }).create().limits).toEqual({
      minMemcpySize: 1,
      maxMemcpySize: 0x10_0000,
      maxMemcpyCount: 0xffff,
      alignment: 1,
    });
  });

  it("refuses an impossible XFERCAP", () => {
    expect(thrownBy(setUp({ xfercap: 0 }).create).message).toMatch(/XFERCAP is 0/);
  });

  it("resets the function when the channel does not react", () => {
    const { vfio, create } = setUp();
    vfio.resetHangs = true;
    create();
    expect(vfio.resets).toBe(1);
  });

  it("enables MSI-X again where a channel reset loses it", () => {
    const { vfio, create } = setUp({ device: 0x6f50 });
    const instance = create();
    const requests = jest.spyOn(vfio, "setIrqs");
    vfio.behaviour = "halts";
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(() => instance.memcpyWait()).toThrow();
    expect(requests).toHaveBeenCalledTimes(1);
  });
});

describe("copying", () => {
  it("hands over one descriptor, linked to itself, and suspends afterwards", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.writes.length = 0;
    instance.memcpyStart(0x1111_2222_3333_4444n, 0x5555_6666_7777_8888n, 0x1234, 1);
    instance.memcpyWait();
    const region = vfio.region as DmaRegion;
    const view = new DataView(region.memory.buffer as ArrayBuffer);
    expect(view.getUint32(0, true)).toBe(0x1234);
    expect(view.getUint32(4, true)).toBe(0x8);
    expect(view.getBigUint64(8, true)).toBe(0x1111_2222_3333_4444n);
    expect(view.getBigUint64(16, true)).toBe(0x5555_6666_7777_8888n);
    expect(view.getBigUint64(24, true)).toBe(region.iova);
    expect(vfio.writes).toEqual([`bar 0x90 = 0x${region.iova.toString(16)}`, "bar 0x86 = 0x1", "bar 0x84 = 0x4"]);
  });

  it("asks the device when no completion appears in memory", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.behaviour = "reports done";
    instance.memcpyStart(0n, 0n, 1, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("reports the device's error registers, clears them and can copy again", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.behaviour = "halts";
    instance.memcpyStart(0n, 0n, 64, 2);
    const error = thrownBy(() => instance.memcpyWait());
    expect(error.code).toBe("EIO");
    expect(error.message).toMatch(/source address, read data error/);
    expect(error.message).toMatch(/CHANERR 0x101.*CHANERR_INT 0x101, DMAUNCERRSTS 0x400/);
    expect([vfio.get(CONFIG, 0x180), vfio.get(CONFIG, 0x148), vfio.get(BAR0, 0xa8)]).toEqual([0, 0, 0]);
    vfio.behaviour = "completes";
    instance.memcpyStart(0n, 0n, 64, 2);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("gives up on a hung device in time, reports its state, and stops it", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.behaviour = "hangs";
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.writes.length = 0;
    const error = thrownBy(() => instance.memcpyWait({ timeoutMs: 20 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/waited 20 ms .* CHANSTS 0x0, CHANERR 0x0/);
    expect(vfio.writes).toContain("bar 0x84 = 0x20");
  });

  it("reports a device that does not recover, and tries again before the next copy", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.behaviour = "hangs";
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.reset = () => undefined;
    vfio.resetHangs = true;
    const error = thrownBy(() => instance.memcpyWait({ timeoutMs: 1 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/CHANSTS to show done[^]*Recovery failed: waited \d+ ms/);
    expect(() => instance.memcpyStart(0n, 0n, 64, 1)).toThrow(/waited \d+ ms/);
    vfio.resetHangs = false;
    vfio.behaviour = "completes";
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("sees the end of a copy by its completion in memory, or by the channel", () => {
    const { vfio, create } = setUp();
    const instance = create();
    for (const [behaviour, ended] of [
      ["hangs", false],
      ["completes", true],
      ["reports done", true],
      ["halts", true],
    ] as const) {
      vfio.behaviour = behaviour;
      instance.memcpyStart(0n, 0n, 64, 1);
      expect([behaviour, instance.memcpyEnded()]).toEqual([behaviour, ended]);
      if (behaviour === "halts" || behaviour === "hangs") thrownBy(() => instance.memcpyWait({ timeoutMs: 0 }));
      else instance.memcpyWait({ timeoutMs: 0 });
    }
  });

  it("asks for an interrupt at the end where the caller wants one, and arms it first", () => {
    const { vfio, create } = setUp();
    const { completion } = create();
    vfio.writes.length = 0;
    completion?.start(1n, 2n, 64);
    expect(vfio.writes.slice(0, 1)).toEqual(["bar 0x80 = 0xd"]);
    expect(new DataView((vfio.region as DmaRegion).memory.buffer as ArrayBuffer).getUint32(4, true)).toBe(0x9);
    expect(completion?.vector).toBe(0);
  });
});

/** docs/architecture.md, rule 2, with registers in memory: only the driver and what is below it run. */
it("a copy makes no BigInt, object or closure", () => {
  const config = new Uint8Array(256);
  new DataView(config.buffer).setUint32(0, 0x2021_8086, true);
  const regions = { [BAR0]: { size: 0x4000 } };
  const vfio = new FakeVfioDevice({ regions, config, irqs: { [MSIX]: { count: 1, eventfd: true } } });
  vfio.poke(BAR0, 0x01, Uint8Array.of(20));
  vfio.poke(BAR0, 0x88, Uint8Array.of(3));
  using iommu = new Iommu(new FakeIommuBackend(() => vfio));
  using device = PciDevice.open(iommu, vfio.address);
  // CHANCMD: resets and suspensions end at once.
  device.bar(0).write8 = () => undefined;
  using session = new DriverSession(ioatDriver, device, iommu);
  vfio.poke(BAR0, 0x88, Uint8Array.of(2));
  const words = session.region.words();
  const [source, destination] = [0x1_0000_0000n, 0x2_0000_0000n];
  const bytes = allocatedBytes(() => {
    session.memcpyStart(source, destination, 4096);
    words[16] = 0x1041;
    session.memcpyWait();
  });
  vfio.poke(BAR0, 0x88, Uint8Array.of(3));
  expect(bytes).toBeLessThan(MOST_BYTES);
});

describe("remove", () => {
  it("resets and disables MSI-X, once, also during a copy", () => {
    const { vfio, device, create } = setUp();
    const instance = create();
    vfio.behaviour = "hangs";
    instance.memcpyStart(0n, 0n, 64, 1);
    instance.remove();
    expect(vfio.writes.at(-1)).toBe("bar 0x84 = 0x20");
    expect(device.interrupts.msix.enabled).toBe(false);
    const writes = vfio.writes.length;
    instance.remove();
    expect(vfio.writes).toHaveLength(writes);
  });

  it("can be followed by a new start", () => {
    const { create } = setUp();
    create().remove();
    const instance = create();
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });
});
