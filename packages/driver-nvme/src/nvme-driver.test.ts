import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { allocatedBytes, FakeIommuBackend, thrownBy } from "@vfio-selftests/core/testing";
import { nvmeDriver, nvmeDriverFor } from "./nvme-driver";
import type { ScratchDisk } from "./scratch-disks";
import { FakeNvme, type FakeNvmeOptions } from "./testing/fake-nvme";

const AREA = 256 * 1024;
const GUARD = 0xa5;
const UNMAPPED = 0x7000_0000n;
const WRITE = 1;
const READ = 2;
const IDENTIFY = 6;
/** Longer than the fake's CAP.TO, 500 ms. */
const SLOW_SHUTDOWN_MS = 700;
/** The engine may box a time or two (16 bytes each). One BigInt, closure or object for each copy takes more. */
const MOST_BYTES = 40;

let cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
});

interface Bench {
  readonly nvme: FakeNvme;
  readonly device: PciDevice;
  readonly iommu: Iommu;
  readonly source: DmaRegion;
  readonly destination: DmaRegion;
  open(): DriverSession;
}

function setUp(options: FakeNvmeOptions = {}, disks: readonly ScratchDisk[] = [{ serial: "FAKE" }]): Bench {
  const nvme = new FakeNvme(options);
  // What the disk holds before the first copy.
  nvme.disk.forEach((_byte, index) => (nvme.disk[index] = (index * 7) % 251));
  const backend = new FakeIommuBackend(() => nvme);
  nvme.backend = backend;
  const iommu = new Iommu(backend);
  const device = PciDevice.open(iommu, nvme.address);
  const memory = DmaMemory.allocate(2 * AREA);
  const source = iommu.map(memory, { length: AREA });
  // It crosses a boundary of 4 GiB, and nothing is mapped behind it.
  const destination = iommu.map(memory, { offset: AREA, length: AREA, iova: 2n ** 32n - BigInt(AREA / 2) });
  source.bytes.forEach((_byte, index) => (source.bytes[index] = (index * 13 + (index >> 9)) % 253));
  cleanup.push(
    () => memory.close(),
    () => iommu.close(),
    () => device.close(),
  );
  const open = (): DriverSession => {
    const session = new DriverSession(nvmeDriverFor(disks), device, iommu);
    cleanup.push(() => session.close());
    return session;
  };
  return { nvme, device, iommu, source, destination, open };
}

function expectCopy(
  { source, destination }: Bench,
  session: DriverSession,
  from: number,
  to: number,
  size: number,
): void {
  destination.bytes.fill(GUARD);
  session.memcpySync(source.iovaOf(from), destination.iovaOf(to), size);
  const expected = Buffer.alloc(AREA, GUARD);
  expected.set(source.bytes.subarray(from, from + size), to);
  expect({ from, to, size, intact: expected.equals(destination.bytes) }).toEqual({ from, to, size, intact: true });
}

describe("probe", () => {
  const probe = (options: FakeNvmeOptions = {}, disks = [{ serial: "FAKE" }]): true | string | undefined =>
    nvmeDriverFor(disks).probe?.(setUp(options).device);

  it("takes any controller of the class when a disk is named", () => {
    expect(probe()).toBe(true);
  });

  it.each([
    ["another class", { classCode: 0x02_0000 }, /class/],
    ["no NVM command set", { commandSets: 0x40 }, /NVM command set/],
    ["large memory pages", { minimumPage: 4 }, /65536 bytes/],
  ])("refuses %s", (_what, options, reason) => {
    expect(probe(options)).toMatch(reason);
  });

  it("refuses every disk when none is named, and names the variable", () => {
    expect(probe({}, [])).toMatch(/VFIO_SELFTESTS_NVME_SCRATCH/);
  });

  it("reads the variable at each probe", () => {
    const { device } = setUp();
    const env = jest.replaceProperty(process, "env", {});
    cleanup.push(() => env.restore());
    expect(nvmeDriver.probe?.(device)).toMatch(/overwrites/);
    env.replaceValue({ VFIO_SELFTESTS_NVME_SCRATCH: "FAKE" });
    expect(nvmeDriver.probe?.(device)).toBe(true);
  });
});

describe("the disk", () => {
  it("stays untouched when another one is named", () => {
    const bench = setUp({ serial: "PRECIOUS" });
    const error = thrownBy(() => bench.open());
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toMatch(/VFIO_SELFTESTS_NVME_SCRATCH is "FAKE"; allowed: PRECIOUS/);
    expect(bench.nvme.commands).toEqual([]);
    expect(bench.nvme.adminCommands).toEqual([IDENTIFY]);
    expect(bench.nvme.enabled).toBe(false);
    expect(bench.device.interrupts.msix.enabled).toBe(false);
  });

  it("is not written until the first copy, and then only in its last blocks", () => {
    const bench = setUp();
    const before = Buffer.from(bench.nvme.disk);
    const session = bench.open();
    expect(bench.nvme.commands).toEqual([{ opcode: READ, lba: 768, blocks: 256 }]);
    session.sendMsi();
    expect(bench.nvme.disk.equals(before)).toBe(true);
    expectCopy(bench, session, 0, 0, session.limits.maxMemcpySize);
    const outside = 768 * 512;
    expect(bench.nvme.disk.subarray(0, outside).equals(before.subarray(0, outside))).toBe(true);
    expect(bench.nvme.disk.subarray(outside).equals(bench.source.bytes.subarray(0, 131_072))).toBe(true);
  });

  it("gets back what it held, by remove and close", () => {
    const bench = setUp();
    const before = Buffer.from(bench.nvme.disk);
    const session = bench.open();
    const expectPutBack = (end: () => void): void => {
      expectCopy(bench, session, 0, 0, 8192);
      expect(bench.nvme.disk.equals(before)).toBe(false);
      end();
      expect(bench.nvme.disk.equals(before)).toBe(true);
      expect(bench.nvme.enabled).toBe(false);
    };
    expectPutBack(() => session.remove());
    session.create();
    expectPutBack(() => session.close());
  });

  it.each([
    ["during a copy", (_bench: Bench) => undefined],
    ["after a reset during a copy", ({ device }: Bench) => device.reset()],
    ["without bus mastering", ({ device }: Bench) => void (device.config.busMaster = false)],
  ])("gets back what it held when the driver is removed %s", (_when, disturb) => {
    const bench = setUp();
    const before = Buffer.from(bench.nvme.disk);
    const session = bench.open();
    expectCopy(bench, session, 0, 0, 8192);
    bench.nvme.holds = true;
    session.memcpyStart(bench.source.iova, bench.destination.iova, 4096);
    disturb(bench);
    bench.nvme.holds = false;
    session.remove();
    expect(bench.nvme.disk.equals(before)).toBe(true);
  });

  it("gets back what it held by the next create and remove, when a remove failed", () => {
    const bench = setUp();
    const before = Buffer.from(bench.nvme.disk);
    const session = bench.open();
    expectCopy(bench, session, 0, 0, 8192);
    bench.nvme.isGone = true;
    const error = thrownBy(() => session.remove());
    expect(error.message).toMatch(
      /does not answer\n {2}Not put back: blocks 768 to 1023 of namespace 1 of disk FAKE hold/,
    );
    bench.nvme.isGone = false;
    expect(bench.nvme.disk.equals(before)).toBe(false);
    session.create();
    expect(bench.nvme.disk.equals(before)).toBe(true);
    expectCopy(bench, session, 0, 0, 8192);
    session.remove();
    expect(bench.nvme.disk.equals(before)).toBe(true);
  });

  it("has time for its shutdown", () => {
    const bench = setUp();
    const session = bench.open();
    bench.nvme.shutdownMs = SLOW_SHUTDOWN_MS;
    session.remove();
    expect(bench.nvme.enabled).toBe(false);
  });

  it.each([
    [{ serial: "" }, /serial is ""/],
    [{ serial: "FAKE " }, /serial is "FAKE "/],
    [{ serial: "FAKE", namespace: 0 }, /namespace is 0; allowed: 1 to 4294967294/],
    [{ serial: "FAKE", namespace: 2 ** 32 + 1 }, /namespace is 4294967297/],
    [{ serial: "FAKE", namespace: 1.5 }, /namespace is 1.5/],
  ])("is refused as %j", (disk, message) => {
    expect(() => nvmeDriverFor([disk])).toThrow(message);
  });

  it("keeps a copy's data when the driver's memory is unmapped before the driver is removed", () => {
    const bench = setUp();
    const session = bench.open();
    expectCopy(bench, session, 0, 0, 8192);
    const copied = Buffer.from(bench.nvme.disk);
    bench.iommu.unmapAll();
    session.remove();
    expect(bench.nvme.disk.equals(copied)).toBe(true);
    expect(bench.nvme.enabled).toBe(false);
  });

  it("is the namespace that was named", () => {
    const disks = [{ serial: "OTHER" }, { serial: "FAKE", namespace: 3 }];
    const bench = setUp({ namespace: 3 }, disks);
    expectCopy(bench, bench.open(), 0, 0, 512);
    expect(() => setUp({ namespace: 3 }, [{ serial: "FAKE", namespace: 2 }]).open()).toThrow(/no namespace 2/);
  });

  it("is refused where blocks have metadata", () => {
    expect(() => setUp({ metadata: 8 }).open()).toThrow(/8 bytes of metadata/);
  });
});

describe("copies", () => {
  it.each<[string, FakeNvmeOptions]>([
    ["blocks of 512 bytes", { segments: 0 }],
    ["blocks of 4096 bytes", { segments: 0, blockBytes: 4096 }],
    ["segments of dwords", { segments: 2 }],
    ["segments of bytes", { segments: 1 }],
    ["segments of bytes in blocks of 4096", { blockBytes: 4096 }],
    ["doorbells apart", { doorbellShift: 3 }],
    ["small queues", { entries: 2 }],
    ["a small disk", { blocks: 24 }],
    ["small transfers", { maximumTransfer: 2 }],
  ])("arrive whole, with any pages: %s", (_what, options) => {
    const bench = setUp(options);
    const session = bench.open();
    const { alignment, minMemcpySize, maxMemcpySize } = session.limits;
    const least = [bench.nvme.blockBytes, 1, 4][options.segments ?? 1];
    expect([alignment, minMemcpySize]).toEqual([least, least]);
    const sizes = [minMemcpySize, 4096, 8192, 12_288, 12_288 + alignment, 131_072, 131_072 + alignment];
    for (const size of sizes) {
      for (const offset of [0, alignment, 4096 - alignment]) expectCopy(bench, session, offset, 4096 - alignment, size);
    }
    expect(maxMemcpySize).toBe(
      Math.min(131_072, bench.nvme.disk.length, options.maximumTransfer === 2 ? 16_384 : Infinity),
    );
  });

  it("read only after all writes have completed, whatever the order of execution", () => {
    const bench = setUp();
    const session = bench.open();
    bench.nvme.commands.length = 0;
    session.memcpyStart(bench.source.iova, bench.destination.iova, 4096, 100);
    session.memcpyWait();
    const opcodes = bench.nvme.commands.map(({ opcode }) => opcode);
    expect(opcodes).toEqual(Array.from({ length: 200 }, (_, index) => (index < 100 ? WRITE : READ)));
    expect(bench.destination.bytes.subarray(0, 4096)).toEqual(bench.source.bytes.subarray(0, 4096));
  });

  it("go on for many rounds of the queues", () => {
    const bench = setUp();
    const session = bench.open();
    const { maxMemcpyCount } = session.limits;
    expect(maxMemcpyCount).toBe(255);
    for (let round = 0; round < 10; round++) {
      session.memcpyStart(bench.source.iova, bench.destination.iova, 512, maxMemcpyCount - round);
      session.memcpyWait();
      expectCopy(bench, session, 512 * round, 0, 512);
    }
  });

  it("can be awaited", async () => {
    const bench = setUp();
    const session = bench.open();
    await session.memcpy(bench.source.iova, bench.destination.iova, AREA);
    expect(Buffer.compare(bench.destination.bytes, bench.source.bytes)).toBe(0);
  });

  it("leave no garbage", () => {
    const bench = setUp();
    const session = bench.open();
    const { bytes } = session.region;
    // The fake allocates. So no doorbell reaches it, and the test completes the commands itself.
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const completions = (8192 + 256 * 64) / 4;
    let index = 1;
    let phase = 1;
    const bar = bench.device.bar(0);
    bar.write32 = () => undefined;
    const complete = (): void => {
      words[completions + 4 * index + 3] = phase << 16;
      index = (index + 1) % 256;
      if (index === 0) phase ^= 1;
    };
    const { iova } = bench.source;
    const to = bench.destination.iova;
    const garbage = allocatedBytes(() => {
      session.memcpyStart(iova, to, 131_072);
      complete();
      complete();
      session.memcpyWait();
    });
    Reflect.deleteProperty(bar, "write32");
    expect(garbage).toBeLessThan(MOST_BYTES);
  });
});

describe("errors", () => {
  it("of a source that is not mapped tell the status, and the next copy works", () => {
    const bench = setUp();
    const session = bench.open();
    bench.destination.bytes.fill(GUARD);
    const error = thrownBy(() => session.memcpySync(UNMAPPED, bench.destination.iova, 8192));
    expect(error.code).toBe("EFAULT");
    expect(error.message).toMatch(/Write ended with status 0x004 \(generic: data transfer error\).*CSTS 0x1/);
    expect(bench.destination.bytes.every((byte) => byte === GUARD)).toBe(true);
    expectCopy(bench, session, 0, 0, 8192);
  });

  it("of a destination whose last page is not mapped, too", () => {
    const bench = setUp();
    const session = bench.open();
    const beyond = bench.destination.iovaOf(AREA - 8192);
    const error = thrownBy(() => session.memcpySync(bench.source.iova, beyond, 12_288));
    expect([error.code, error.message]).toEqual(["EFAULT", expect.stringMatching(/Read ended with status 0x004/)]);
    expectCopy(bench, session, 0, 0, 8192);
  });

  it("of a device that does not complete are time-outs with the registers", () => {
    const bench = setUp();
    const session = bench.open();
    bench.nvme.holds = true;
    session.memcpyStart(bench.source.iova, bench.destination.iova, 4096, 3);
    bench.nvme.holds = false;
    const error = thrownBy(() => session.memcpyWait({ timeoutMs: 5 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(
      /3 commands of the copies' queue not completed, CAP 0x[0-9a-f]+, VS 0x10400, CC 0x460001, CSTS 0x1/,
    );
    expectCopy(bench, session, 0, 0, 8192);
    expect(bench.nvme.functionResets).toBe(0);
  });

  it("that are fatal to the controller end the copy at once", () => {
    const bench = setUp();
    const session = bench.open();
    bench.device.config.busMaster = false;
    session.memcpyStart(bench.source.iova, bench.destination.iova, 4096);
    const error = thrownBy(() => session.memcpyWait({ timeoutMs: 60_000 }));
    expect([error.code, error.message]).toEqual(["EIO", expect.stringMatching(/fatal error.*CSTS 0x3/)]);
    expectCopy(bench, session, 0, 0, 8192);
  });

  it("that a controller reset does not mend end in a function reset, with MSI-X enabled again", () => {
    const bench = setUp();
    const session = bench.open();
    bench.nvme.holds = true;
    session.memcpyStart(bench.source.iova, bench.destination.iova, 4096);
    bench.nvme.holds = false;
    bench.nvme.staysReady = true;
    expect(thrownBy(() => session.memcpyWait({ timeoutMs: 1 })).code).toBe("ETIMEDOUT");
    expect(bench.nvme.functionResets).toBe(1);
    session.sendMsi();
    expect(session.msi.tryRead()).toBe(1n);
    expectCopy(bench, session, 0, 0, 8192);
  });
});

describe("interrupts", () => {
  it("come once for each sendMsi, and none for a copy", () => {
    const bench = setUp();
    const session = bench.open();
    expectCopy(bench, session, 0, 0, 8192);
    expect(session.msi.tryRead()).toBeUndefined();
    for (let i = 0; i < 5; i++) {
      session.sendMsi();
      expect(session.msi.tryRead()).toBe(1n);
    }
  });

  it("are not to be had from a device with one vector, whose admin queue takes it", () => {
    const bench = setUp({ vectors: 1 });
    const session = bench.open();
    expect(session.canSendMsi).toBe(false);
    expectCopy(bench, session, 0, 0, 8192);
  });
});
