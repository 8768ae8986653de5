import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { type DriverInstance, DriverSession } from "@vfio-selftests/core/driver";
import { allocatedBytes, FakeIommuBackend, FakeVfioDevice, thrownBy } from "@vfio-selftests/core/testing";
import { dsaDriver, dsaDriverOn } from "./dsa-driver";
import { Layout } from "./region-layout";

const BAR0 = 0;
const BAR2 = 2;
const CONFIG = 7;
const MSIX = 2;
/** The engine may box a time or two (16 bytes each). One BigInt, closure or object for each copy takes more. */
const MOST_BYTES = 40;

const GROUPS = 0x600;
const QUEUES = 0x800;

interface Options {
  readonly gencap?: bigint;
  readonly wqcap?: bigint;
  readonly cmdcap?: bigint;
  readonly opcap?: bigint;
  readonly portalBytes?: number;
  /** Subsystem id and vendor. */
  readonly subsystem?: number;
  readonly vectors?: number;
}

/** Overlapping copy, readback and cache control; 2 GiB, 1024 descriptors; configurable. */
const GENCAP = (1n << 31n) | (10n << 21n) | (31n << 16n) | (1n << 8n) | (1n << 2n) | (1n << 1n);
/** 8 queues with 128 entries; WQCFG of 64 bytes with operations; ATS can be turned off. */
const WQCAP = (1n << 54n) | (1n << 50n) | (1n << 49n) | (1n << 24n) | (8n << 16n) | 128n;

/** Subsystem 1af4:1100, an emulation. */
const EMULATED = 0x1100_1af4;

/** Just enough of a DSA to answer the driver. The package `tests` has the tests with a model. */
class ScriptedDsa extends FakeVfioDevice {
  /** Status that a descriptor ends with; 0: it never ends. */
  status = 1;
  /** Status of a batch's members, where it differs from success. */
  memberStatus = 0;
  /** CMDSTATUS stays active. */
  hung = false;
  /** Error codes of commands, by code. */
  readonly commandErrors = new Map<number, number>();
  resets = 0;
  readonly writes: string[] = [];
  readonly descriptors: Uint8Array[] = [];
  region: DmaRegion | undefined;

  constructor({
    gencap = GENCAP,
    wqcap = WQCAP,
    cmdcap = 0n,
    opcap = 0xbn,
    portalBytes = 0x20000,
    subsystem = EMULATED,
    vectors = 9,
  }: Options = {}) {
    const config = new Uint8Array(4096);
    new DataView(config.buffer).setUint32(0, 0x0b25_8086, true);
    new DataView(config.buffer).setUint32(0x2c, subsystem, true);
    super({
      regions: { [BAR0]: { size: 0x10000, mappableAreas: [] }, [BAR2]: { size: portalBytes, mappableAreas: [] } },
      config,
      irqs: { [MSIX]: { count: vectors, eventfd: true } },
    });
    this.set(0x10, gencap);
    this.set(0x20, wqcap);
    this.set(0x30, 4n);
    this.set(0x38, 4n);
    this.set(0x40, opcap);
    this.set(0x60, 0x0000_0004_0008_0006n);
    this.set(0xb0, cmdcap);
  }

  override writeRegion(index: number, offset: number, from: Uint8Array): void {
    if (index === BAR2) {
      this.descriptors.push(from.slice());
      this.#execute(from);
      return;
    }
    const value = Buffer.from(from).readUIntLE(0, Math.min(from.length, 6));
    this.writes.push(`${index === CONFIG ? "config" : "bar"} 0x${offset.toString(16)} = 0x${value.toString(16)}`);
    if (index === BAR0 && offset === 0xa0) this.#command(value >>> 20);
    else if (index === BAR0 && offset === 0xc0) this.set(0xc0, 0n);
    else super.writeRegion(index, offset, from);
  }

  override reset(): void {
    this.resets++;
    this.hung = false;
    this.set(0x90, 0n, 4);
    super.reset();
  }

  set(offset: number, value: bigint, bytes: 4 | 8 = 8): void {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, value, true);
    this.poke(BAR0, offset, data.subarray(0, bytes));
  }

  /** Writes a completion record at `at`. */
  complete(at: number, status: number, completed = 0, fault = 0n): void {
    const view = new DataView((this.region as DmaRegion).memory.buffer as ArrayBuffer, at, 32);
    view.setUint32(4, completed, true);
    view.setBigUint64(8, fault, true);
    view.setUint8(0, status);
  }

  #command(code: number): void {
    const error = this.commandErrors.get(code) ?? 0;
    this.set(0xa8, this.hung ? 0x8000_0000n : BigInt(error), 4);
    if (this.hung || error !== 0) return;
    if (code === 5) this.set(0x90, 0n, 4);
    if (code === 1) this.set(0x90, 1n, 4);
    if (code === 6) this.set(QUEUES + 24, 0x4000_0000n, 4);
  }

  #execute(descriptor: Uint8Array): void {
    if (this.status === 0) return;
    const view = new DataView(descriptor.buffer, descriptor.byteOffset);
    const record = Number(view.getBigUint64(8, true) - (this.region as DmaRegion).iova);
    if (this.memberStatus !== 0) this.complete(Layout.copyRecord, this.memberStatus);
    this.complete(record, this.status, 0x1000, 0xdead_f000n);
  }
}

let cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
});

function setUp(options: Options = {}): {
  vfio: ScriptedDsa;
  device: PciDevice;
  region: DmaRegion;
  create: () => DriverInstance;
} {
  const vfio = new ScriptedDsa(options);
  const device = new PciDevice(vfio);
  const iommu = new Iommu(new FakeIommuBackend(() => vfio));
  const memory = DmaMemory.allocate(dsaDriver.regionSize);
  const region = iommu.map(memory);
  vfio.region = region;
  cleanup.push(
    () => memory.close(),
    () => region.unmap(),
    () => device.close(),
  );
  return { vfio, device, region, create: () => dsaDriver.create(device, region) };
}

function fieldsOf(descriptor: Uint8Array) {
  const view = new DataView(descriptor.buffer, descriptor.byteOffset);
  return {
    trusted: view.getUint32(0, true),
    flags: view.getUint32(4, true) & 0xff_ffff,
    opcode: descriptor[7],
    record: view.getBigUint64(8, true),
    source: view.getBigUint64(16, true),
    destination: view.getBigUint64(24, true),
    size: view.getUint32(32, true),
    vector: view.getUint16(36, true),
  };
}

describe("probe", () => {
  it("knows upstream's devices", () => {
    expect(dsaDriver.ids).toEqual([0x0b25, 0x1212, 0x11fb].map((device) => ({ vendor: 0x8086, device })));
  });

  it.each([
    ["without command capabilities", {}],
    ["whose commands give no handles", { gencap: GENCAP | 16n, cmdcap: 0x1ffen }],
    ["whose handle bit means nothing", { cmdcap: 0x3ffen }],
  ])("takes a device %s", (_, options) => {
    expect(dsaDriver.probe?.(setUp(options).device)).toBe(true);
  });

  it("refuses a device without portals", () => {
    expect(dsaDriver.probe?.(setUp({ portalBytes: 0 }).device)).toBe("BAR 2 is not implemented");
  });

  it("refuses a device that needs interrupt handles, with the reason", () => {
    const { device } = setUp({ gencap: GENCAP | 16n, cmdcap: 0x3ffen });
    expect(dsaDriver.probe?.(device)).toMatch(/CMDCAP bit 13/);
  });
});

describe("a processor without MOVDIR64B", () => {
  const lacking = dsaDriverOn({ storesWhole64Bytes: () => false });
  const having = dsaDriverOn({ storesWhole64Bytes: () => true });
  const REAL = 0x0000_8086;

  it("drives an emulated device, which puts descriptors together", () => {
    const { device, region } = setUp();
    expect(lacking.probe?.(device)).toBe(true);
    expect(() => lacking.create(device, region).remove()).not.toThrow();
  });

  it.each([
    ["a real device", REAL],
    ["another subsystem of the same vendor", 0x1101_1af4],
  ])("is refused for %s, before it is touched", (_, subsystem) => {
    const { device, region, vfio } = setUp({ subsystem });
    expect(lacking.probe?.(device)).toMatch(/^the processor has no MOVDIR64B/);
    const error = thrownBy(() => lacking.create(device, region));
    expect(error.code).toBe("ERR_NOT_SUPPORTED");
    expect(error.message).toMatch(/the processor has no MOVDIR64B.*\n.*Remedy: use a processor that has it/);
    expect(vfio.writes).toEqual([]);
    expect(having.probe?.(device)).toBe(true);
    expect(() => having.create(device, region).remove()).not.toThrow();
  });
});

describe("bringing up", () => {
  it("resets, clears errors, configures one queue, group and engine, and enables them", () => {
    const { vfio, create } = setUp();
    create();
    expect(vfio.writes).toEqual([
      "config 0x4 = 0x406",
      "bar 0xa0 = 0x500000",
      "bar 0xc0 = 0x3",
      "bar 0x800 = 0x80",
      "bar 0x804 = 0x0",
      "bar 0x808 = 0x15",
      "bar 0x80c = 0x15f",
      ...[0x810, 0x814, 0x818, 0x81c].map((offset) => `bar 0x${offset.toString(16)} = 0x0`),
      "bar 0x820 = 0xa",
      ...[0x824, 0x828, 0x82c, 0x830, 0x834, 0x838, 0x83c].map((offset) => `bar 0x${offset.toString(16)} = 0x0`),
      `bar 0x${GROUPS.toString(16)} = 0x1`,
      `bar 0x${(GROUPS + 32).toString(16)} = 0x1`,
      "bar 0xa0 = 0x100000",
      "bar 0xa0 = 0x600000",
    ]);
    expect(vfio.interrupts.assigned(MSIX)).toEqual([1, 2]);
  });

  it("keeps to a small WQCFG and leaves ATS alone where it cannot be turned off", () => {
    const { vfio, create } = setUp({ wqcap: (1n << 49n) | (8n << 16n) | 64n });
    create();
    expect(vfio.writes.filter((write) => /bar 0x8[0-3]/.test(write))).toHaveLength(8);
    expect(vfio.writes).toContain("bar 0x808 = 0x11");
  });

  it.each([
    [128n, 10n, 32 * 1024],
    [16n, 10n, 16 * 1024],
    [128n, 5n, 32 * 32],
    [1n, 15n, 1024],
  ])("with %i entries and batches of 2^%i copies up to %i times", (entries, batch, count) => {
    const gencap = (GENCAP & ~(0xfn << 21n)) | (batch << 21n);
    const { limits } = setUp({ wqcap: (WQCAP & ~0xffffn) | entries, gencap }).create();
    expect(limits).toEqual({ minMemcpySize: 1, maxMemcpySize: 2 ** 31, maxMemcpyCount: count, alignment: 1 });
  });

  it.each([
    ["queues", { wqcap: WQCAP & ~0xff_0000n }, /no work queues/],
    ["batches", { opcap: 8n }, /no batches/],
    ["batches of four", { gencap: (GENCAP & ~(0xfn << 21n)) | (1n << 21n) }, /no batches of four/],
  ])("refuses a device without %s", (_, options, message) => {
    expect(thrownBy(setUp(options).create).message).toMatch(message);
  });

  it("names the error of a failed command", () => {
    const { vfio, create } = setUp();
    vfio.commandErrors.set(1, 0x18);
    expect(thrownBy(create).message).toMatch(
      /Enable Device failed: 0x18 \(wrong read buffers\); GENSTS 0x0, CMDSTATUS 0x18/,
    );
  });

  it("resets the function when the device does not answer", () => {
    const { vfio, create } = setUp();
    vfio.hung = true;
    create();
    expect(vfio.resets).toBe(1);
  }, 10_000);

  it("resets the function when the device is halted", () => {
    const { vfio, create } = setUp();
    vfio.commandErrors.set(5, 5);
    const reset = vfio.reset.bind(vfio);
    vfio.reset = () => {
      vfio.commandErrors.clear();
      reset();
    };
    create();
    expect(vfio.resets).toBe(1);
  });
});

describe("copying", () => {
  const READBACK = (1 << 14) | (1 << 8);

  it("hands over one descriptor for one copy", () => {
    const { vfio, create } = setUp();
    const instance = create();
    instance.memcpyStart(0x1111_2222_3333_4444n, 0x5555_6666_7777_8888n, 0x1234, 1);
    instance.memcpyWait();
    expect(vfio.descriptors.map(fieldsOf)).toEqual([
      {
        trusted: 0x8000_0000,
        flags: 0x0c | READBACK,
        opcode: 3,
        record: (vfio.region?.iova ?? 0n) + BigInt(Layout.copyRecord),
        source: 0x1111_2222_3333_4444n,
        destination: 0x5555_6666_7777_8888n,
        size: 0x1234,
        vector: 0,
      },
    ]);
  });

  it.each([
    [2, [2]],
    [1024, [1024]],
    [1025, [1023, 2]],
    [1026, [1024, 2]],
    [3073, [1024, 1024, 1023, 2]],
  ])("hands over %i copies as batches of %j", (count, batches) => {
    const { vfio, create } = setUp();
    const instance = create();
    instance.memcpyStart(0x1000n, 0x2000n, 64, count);
    instance.memcpyWait();
    const descriptors = vfio.descriptors.map(fieldsOf);
    expect(descriptors.map(({ size }) => size)).toEqual(batches);
    const { iova, bytes } = vfio.region as DmaRegion;
    const records = descriptors.map(({ record }) => Number(record - iova));
    expect(records).toEqual(batches.map((_, i) => Layout.batchRecords + i * 32));
    for (const { opcode, flags, source } of descriptors) {
      expect({ opcode, flags, source }).toEqual({ opcode: 1, flags: 0x0c, source: iova + BigInt(Layout.copies) });
    }
    for (const i of [0, 1, Math.min(count, 1024) - 1]) {
      const member = bytes.slice(Layout.copies + i * 64, Layout.copies + i * 64 + 64);
      expect(fieldsOf(member)).toMatchObject({
        opcode: 3,
        flags: 0x04 | READBACK,
        source: 0x1000n,
        size: 64,
        vector: 0,
      });
    }
  });

  it("asks for no readback where the device has none", () => {
    const { vfio, create } = setUp({ gencap: GENCAP & ~(1n << 8n) });
    const instance = create();
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(fieldsOf(vfio.descriptors[0] as Uint8Array).flags).toBe(0x0c);
  });

  it("reports status, fault and registers of a failed copy, and goes on", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 0x83;
    instance.memcpyStart(0n, 0n, 0x2000, 1);
    vfio.set(0xc0, (0x53n << 8n) | (3n << 16n) | 0x9n);
    const error = thrownBy(() => instance.memcpyWait());
    expect(error.code).toBe("EFAULT");
    expect(error.message).toMatch(
      /0x03 \(page fault\): write of 0xdeadf000 after 4096 bytes; GENSTS 0x1, CMDSTATUS 0x0/,
    );
    expect(error.message).toMatch(/SWERROR 0x53 \(work queue full\) WQ 3/);
    expect(vfio.writes.at(-1)).toBe("bar 0xc0 = 0x3");
    vfio.status = 1;
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("reports which batch failed, and its member's status", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 5;
    vfio.memberStatus = 0x20;
    instance.memcpyStart(0n, 0n, 64, 2000);
    const error = thrownBy(() => instance.memcpyWait());
    expect(error.code).toBe("EIO");
    expect(error.message).toMatch(/batch 1 of 2: status 0x20 \(memory read refused or failed\)/);
  });

  it("brings a device up again that has left the enabled state", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 0x20;
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.set(0x90, 0n, 4);
    vfio.writes.length = 0;
    thrownBy(() => instance.memcpyWait());
    expect(vfio.writes).toContain("bar 0xa0 = 0x600000");
  });

  it("stops waiting when the device reports an error instead of a completion", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 0;
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.set(0xc8, 7n);
    vfio.set(0xd0, 0xabc000n);
    vfio.set(0xc0, 1n | (1n << 2n) | (1n << 3n) | (1n << 4n) | (1n << 5n) | (0x1an << 8n) | (3n << 32n));
    const error = thrownBy(() => instance.memcpyWait({ timeoutMs: 5000 }));
    expect(error.code).toBe("EIO");
    expect(error.message).toMatch(
      /SWERROR 0x1a \(page fault on the completion record\) WQ 0 operation 0x3 batch index 7 write address 0xabc000/,
    );
    expect(vfio.writes).toContain("bar 0xa0 = 0x500000");
  });

  it("gives up on a hung device in time, reports its state, and stops it", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 0;
    instance.memcpyStart(0n, 0n, 64, 2000);
    vfio.writes.length = 0;
    vfio.hung = true;
    const error = thrownBy(() => instance.memcpyWait({ timeoutMs: 20 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/waited 20 ms .*2 of 2 descriptors not completed, GENSTS 0x1, CMDSTATUS 0x0/);
    expect(vfio.resets).toBe(1);
    expect(vfio.writes.at(-1)).toBe("bar 0xa0 = 0x600000");
    vfio.status = 1;
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  }, 10_000);

  it("reports a device that does not recover, and tries again before the next copy", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 0;
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.commandErrors.set(1, 0x12);
    expect(thrownBy(() => instance.memcpyWait({ timeoutMs: 1 })).message).toMatch(
      /Recovery failed.*bus mastering is off/,
    );
    expect(thrownBy(() => instance.memcpyStart(0n, 0n, 64, 1)).message).toMatch(/bus mastering is off/);
    vfio.commandErrors.clear();
    vfio.status = 1;
    instance.memcpyStart(0n, 0n, 64, 1);
    expect(() => instance.memcpyWait()).not.toThrow();
  });

  it("sees the end of a copy by its records, or by the registers", () => {
    const { vfio, create } = setUp();
    const instance = create();
    vfio.status = 0;
    instance.memcpyStart(0n, 0n, 64, 2000);
    expect(instance.memcpyEnded()).toBe(false);
    vfio.complete(Layout.batchRecords, 1);
    expect(instance.memcpyEnded()).toBe(false);
    vfio.complete(Layout.batchRecords + 32, 1);
    expect(instance.memcpyEnded()).toBe(true);
    instance.memcpyWait({ timeoutMs: 0 });
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.set(0x90, 0n, 4);
    const deadline = performance.now() + 1000;
    while (!instance.memcpyEnded() && performance.now() < deadline);
    expect(thrownBy(() => instance.memcpyWait({ timeoutMs: 0 })).message).toMatch(/the device is disabled/);
  });

  it("asks for an interrupt of a vector of its own at the end, if the caller wants one", () => {
    const { vfio, create } = setUp();
    const { completion } = create();
    completion?.start(0x1000n, 0x2000n, 64);
    expect(completion?.vector).toBe(2);
    expect(vfio.descriptors.map(fieldsOf)).toMatchObject([
      { flags: 0x1c | READBACK, opcode: 3, source: 0x1000n, destination: 0x2000n, size: 64, vector: 2 },
    ]);
  });

  it("has no interrupt for the end on a device without a third vector", () => {
    const { vfio, create } = setUp({ vectors: 2 });
    expect(create().completion).toBeUndefined();
    expect(vfio.interrupts.assigned(MSIX)).toEqual([1]);
  });
});

/** docs/architecture.md, rule 2, with registers in memory: only the driver and what is below it run. */
it.each([
  ["one copy", 1],
  ["32 batches", 32 * 1024],
])("the start and the wait of %s make no BigInt, object or closure", (_, count) => {
  const config = new Uint8Array(256);
  new DataView(config.buffer).setUint32(0, 0x0b25_8086, true);
  new DataView(config.buffer).setUint32(0x2c, EMULATED, true);
  const regions = { [BAR0]: { size: 0x10000 }, [BAR2]: { size: 0x20000 } };
  const vfio = new FakeVfioDevice({ regions, config, irqs: { [MSIX]: { count: 9, eventfd: true } } });
  const values: readonly [number, bigint][] = [
    [0x10, GENCAP],
    [0x20, WQCAP],
    [0x30, 4n],
    [0x38, 4n],
    [0x40, 0xbn],
    [0x60, 0x0000_0004_0008_0006n],
  ];
  for (const [offset, value] of values) {
    vfio.poke(BAR0, offset, new Uint8Array(new BigUint64Array([value]).buffer));
  }
  using iommu = new Iommu(new FakeIommuBackend(() => vfio));
  using device = PciDevice.open(iommu, vfio.address);
  using session = new DriverSession(dsaDriver, device, iommu);
  const words = session.region.words();
  const [source, destination] = [0x1_0000_0000n, 0x2_0000_0000n];
  const bytes = allocatedBytes(() => {
    session.memcpyStart(source, destination, 4096, count);
    for (let i = 0; i <= 32; i++) words[(Layout.copyRecord + 32 * i) / 4] = 1;
    session.memcpyWait();
  });
  expect(bytes).toBeLessThan(MOST_BYTES);
});

describe("sendMsi", () => {
  it("is a copy within the region that asks for vector 1", () => {
    const { vfio, create } = setUp();
    create().sendMsi?.();
    const iova = vfio.region?.iova ?? 0n;
    expect(vfio.descriptors.map(fieldsOf)).toMatchObject([
      {
        flags: 0x1c,
        opcode: 3,
        source: iova + BigInt(Layout.msiSource),
        destination: iova + BigInt(Layout.msiDestination),
        size: 8,
        vector: 1,
      },
    ]);
  });
});

describe("remove", () => {
  it("resets and disables MSI-X, once, also during a copy", () => {
    const { vfio, device, create } = setUp();
    const instance = create();
    vfio.status = 0;
    instance.memcpyStart(0n, 0n, 64, 1);
    vfio.writes.length = 0;
    instance.remove();
    expect(vfio.writes[0]).toBe("bar 0xa0 = 0x500000");
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
