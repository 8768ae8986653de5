import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { type Driver, DriverSession } from "@vfio-selftests/core/driver";
import { allocatedBytes, FakeIommuBackend, FakeVfioDevice, thrownBy } from "@vfio-selftests/core/testing";
import { igbDriver } from "./igb-driver";
import { HEADER_SIZE, Layout, RX_RING_SIZE } from "./region-layout";
import { Ctrl, Eecd, Mdic, QUEUE_ENABLE, Reg, Status } from "./registers";
import { FakeIgb, PHY_LOOPBACK } from "./testing/fake-igb";

const DATA = 4096;
const DESTINATION = 2048;
/** The engine may box a time (16 bytes). One BigInt, closure or object for each copy takes at least 24. */
const MOST_BYTES = 24;

let cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
});

interface Bench {
  readonly igb: FakeIgb;
  readonly device: PciDevice;
  readonly session: DriverSession;
  readonly data: DmaRegion;
  copy(size?: number): void;
}

function setUp(...options: ConstructorParameters<typeof FakeIgb>): Bench {
  const igb = new FakeIgb(...options);
  const iommu = new Iommu(new FakeIommuBackend(() => igb));
  const device = PciDevice.open(iommu, igb.address);
  const memory = DmaMemory.allocate(DATA);
  const data = iommu.map(memory);
  igb.regions.push(data);
  // The device must know the driver's region before the driver starts it.
  const map = iommu.map.bind(iommu);
  jest.spyOn(iommu, "map").mockImplementation((...args) => {
    const region = map(...args);
    igb.regions.push(region);
    return region;
  });
  const session = new DriverSession(igbDriver, device, iommu);
  cleanup.push(
    () => memory.close(),
    () => data.unmap(),
    () => device.close(),
    () => session.close(),
  );
  const copy = (size = 1000) => session.memcpySync(data.iova, data.iova + BigInt(DESTINATION), size);
  return { igb, device, session, data, copy };
}

function pending({ device }: Bench): (bigint | undefined)[] {
  return device.interrupts.msix.enabledVectors.map((vector) => vector.tryRead());
}

describe("bringing up", () => {
  it("stops the device's requests before each reset", () => {
    const { igb, session } = setUp("emulated");
    session.remove();
    session.create();
    expect(igb.writes.filter(({ register, value }) => register === "CTRL" && (value & Ctrl.RST) !== 0)).toHaveLength(3);
    expect(igb.dirtyResets).toBe(0);
    expect(igb.get(Reg.CTRL) & Ctrl.GIO_MASTER_DISABLE).toBe(0);
  });

  it("resets a device whose last request does not end, after 80 ms", () => {
    const { igb, session } = setUp("emulated");
    igb.masterStaysEnabled = true;
    const start = performance.now();
    session.remove();
    expect(performance.now() - start).toBeGreaterThanOrEqual(80);
    expect(igb.dirtyResets).toBe(1);
  });

  it("gives hardware the times to settle that the kernel gives it, before and after forcing the link", () => {
    const { igb } = setUp("hardware");
    const loopback = igb.timeOf("MDIC", PHY_LOOPBACK);
    const forced = igb.timeOf("CTRL", Ctrl.FRCSPD);
    const queues = igb.timeOf("TXDCTL", 0, forced);
    expect(forced - loopback).toBeGreaterThanOrEqual(50);
    expect(queues - forced).toBeGreaterThanOrEqual(500);
  });

  it("leaves a device that does not come up with its queues stopped, and no vector enabled", () => {
    const igb = new FakeIgb("emulated");
    igb.holds = true;
    const iommu = new Iommu(new FakeIommuBackend(() => igb));
    const device = PciDevice.open(iommu, igb.address);
    expect(thrownBy(() => new DriverSession(igbDriver, device, iommu)).message).toContain("a test frame to come back");
    expect([igb.get(Reg.TXDCTL) & QUEUE_ENABLE, igb.get(Reg.RXDCTL) & QUEUE_ENABLE]).toEqual([0, 0]);
    expect(device.interrupts.msix.enabled).toBe(false);
    iommu.close();
  });

  it("waits for no settling in an emulated device", () => {
    const { igb } = setUp("emulated");
    expect(igb.timeOf("TXDCTL", 0) - igb.timeOf("MDIC", PHY_LOOPBACK)).toBeLessThan(50);
  });
});

describe.each(["hardware", "emulated"] as const)("interrupts of an igb that is %s", (kind) => {
  it("come once for each sendMsi, however many", () => {
    const bench = setUp(kind);
    for (let i = 0; i < 5; i++) {
      bench.session.sendMsi();
      expect(pending(bench)).toEqual([1n, undefined]);
    }
  });

  it("do not come with copies, and copies leave none behind", () => {
    const bench = setUp(kind);
    for (let i = 0; i < 3; i++) {
      bench.copy();
      expect(pending(bench)).toEqual([undefined, undefined]);
      bench.session.sendMsi();
      expect(pending(bench)).toEqual([1n, undefined]);
    }
  });

  it("end awaited copies, chunk by chunk, and only those", async () => {
    const bench = setUp(kind);
    const { session, data, igb } = bench;
    data.bytes.fill(0x5c, 0, DESTINATION);
    const raise = jest.spyOn(igb.interrupts, "raise");
    await session.memcpy(data.iova, data.iova + BigInt(DESTINATION), 1500);
    expect(raise.mock.calls).toEqual([
      [2, 1],
      [2, 1],
    ]);
    expect(data.bytes.subarray(DESTINATION, DESTINATION + 1500).every((byte) => byte === 0x5c)).toBe(true);
    expect(data.bytes[DESTINATION + 1500]).toBe(0);
    bench.copy();
    expect(raise).toHaveBeenCalledTimes(2);
    expect(pending(bench)).toEqual([undefined, undefined]);
  });
});

it("a device with one vector copies on the event loop without interrupt", async () => {
  const bench = setUp("emulated", { vectors: 1 });
  await bench.session.memcpy(bench.data.iova, bench.data.iova + BigInt(DESTINATION), 1500);
  expect(pending(bench)).toEqual([undefined]);
  bench.session.sendMsi();
  expect(pending(bench)).toEqual([1n]);
});

/** docs/architecture.md, rule 2, with registers in memory: only the driver and what is below it run. */
it.each([1, 16])("the start and the wait of %i copies make no BigInt, object or closure", (count) => {
  const config = new Uint8Array(256);
  new DataView(config.buffer).setUint32(0, 0x10c9_8086, true);
  const vfio = new FakeVfioDevice({ regions: { 0: { size: 0x20000 } }, config, irqs: { 2: { count: 2 } } });
  using iommu = new Iommu(new FakeIommuBackend(() => vfio));
  using device = PciDevice.open(iommu, vfio.address);
  const bar = device.bar(0);
  bar.write32(Reg.STATUS, Status.LU);
  bar.write32(Reg.EECD, Eecd.AUTO_RD);
  let words: Uint32Array = new Uint32Array(0);
  let received = 0;
  let size = HEADER_SIZE;
  const write32 = bar.write32.bind(bar);
  bar.write32 = (offset, value) => {
    write32(offset, offset === Reg.MDIC ? value | Mdic.READY : value);
    if (offset !== Reg.RDT) return;
    // Every frame that has a receive descriptor has come.
    for (; received !== value; received = (received + 1) % RX_RING_SIZE) {
      words[Layout.rxRing / 4 + received * 4 + 2] = 3;
      words[Layout.rxRing / 4 + received * 4 + 3] = size;
    }
  };
  const driver: Driver = {
    ...igbDriver,
    create: (pci, region) => {
      words = region.words();
      return igbDriver.create(pci, region);
    },
  };
  using session = new DriverSession(driver, device, iommu);
  size = 1000;
  const [source, destination] = [0x1_0000_0000n, 0x2_0000_0000n];
  const bytes = allocatedBytes(() => {
    session.memcpyStart(source, destination, size, count);
    session.memcpyWait();
  });
  expect(bytes).toBeLessThan(MOST_BYTES);
});

describe("recovery", () => {
  it("takes new rings where they are enough, and the link stays up", () => {
    const { igb, data, copy } = setUp("emulated");
    igb.faulting = data.iova;
    const error = thrownBy(copy);
    expect(error).toMatchObject({ code: "EIO" });
    igb.faulting = undefined;
    igb.writes.length = 0;
    copy();
    expect(igb.functionResets).toBe(0);
    expect(igb.writes.map(({ register }) => register)).toEqual(["RDT", "TDT", "EIMC"]);
  });

  it("resets the function when the engine is dead, which no reset of the device's own mends", () => {
    const { igb, data, copy } = setUp("hardware");
    igb.wedgesAtFaults = true;
    igb.faulting = data.iova;
    expect(thrownBy(copy)).toMatchObject({ code: "EIO" });
    expect(igb.functionResets).toBe(1);
    igb.faulting = undefined;
    data.bytes[7] = 0x77;
    copy();
    expect(data.bytes[DESTINATION + 7]).toBe(0x77);
    expect(igb.functionResets).toBe(1);
  });

  it("reports a device that stays dead and cannot be reset, and tries again before the next copy", () => {
    const { igb, data, copy } = setUp("hardware", { resettable: false });
    igb.wedgesAtFaults = true;
    igb.faulting = data.iova;
    const error = thrownBy(copy);
    expect(error.code).toBe("EIO");
    expect(error.message).toMatch(/a frame was lost[^]*Recovery failed: waited 200 ms for a test frame to come back/);
    expect(thrownBy(copy).message).toMatch(/^waited 200 ms for a test frame to come back/);
    expect(igb.functionResets).toBe(0);
  });

  it("resets the function of a device that stands still", () => {
    const { igb, copy } = setUp("emulated");
    igb.holds = true;
    const reset = igb.reset.bind(igb);
    igb.reset = () => {
      igb.holds = false;
      reset();
    };
    expect(thrownBy(copy)).toMatchObject({ code: "ETIMEDOUT" });
    expect(igb.functionResets).toBe(1);
    copy();
  });

  it("follows a signal during an awaited copy", async () => {
    const bench = setUp("emulated");
    const { igb, session, data } = bench;
    igb.holds = true;
    const controller = new AbortController();
    const copy = session.memcpy(data.iova, data.iova + BigInt(DESTINATION), 64, { signal: controller.signal });
    igb.reset = () => (igb.holds = false);
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 5);
    await expect(copy).rejects.toBe(reason);
    expect(pending(bench)).toEqual([undefined, undefined]);
    bench.copy();
  });
});
