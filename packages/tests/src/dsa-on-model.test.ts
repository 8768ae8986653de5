import { DmaMemory, DriverSession, Iommu, PciDevice, VfioError, type DmaRegion } from "@vfio-selftests/core";
import { connectModel } from "@vfio-selftests/device-models";
import { dsaDriver } from "@vfio-selftests/driver-dsa";
import { VfioUserMode } from "@vfio-selftests/vfio-user";
import fc from "fast-check";

/** The real driver on the real model, over a socket, in two threads. */

const HALF = 4 << 20;
const NOWHERE = 0x7f_0000_0000n;
/** Enough repeats of a 4 MiB copy to take a while. */
const MANY = 32 * 1024;

interface Bench {
  readonly iommu: Iommu;
  readonly device: PciDevice;
  readonly session: DriverSession;
  readonly region: DmaRegion;
  readonly bytes: Uint8Array;
}

let cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
});

function open(iommu: Iommu): { device: PciDevice; session: DriverSession } {
  const device = PciDevice.open(iommu, "model:dsa");
  cleanup.push(() => device.close());
  const session = new DriverSession(dsaDriver, device, iommu);
  cleanup.push(() => session.close());
  return { device, session };
}

function setUp(): Bench {
  const iommu = new Iommu(new VfioUserMode({ connectModel }).open());
  const memory = DmaMemory.allocate(2 * HALF, { backing: "memfd" });
  const region = iommu.map(memory);
  cleanup.push(
    () => iommu.close(),
    () => memory.close(),
    () => region.unmap(),
  );
  return { iommu, ...open(iommu), region, bytes: region.bytes };
}

function thrownBy(action: () => void): VfioError {
  try {
    action();
  } catch (error) {
    if (error instanceof VfioError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

function pendingInterrupts(session: DriverSession): bigint {
  return session.msi.tryRead() ?? 0n;
}

describe("the dsa driver on the dsa model", () => {
  it("is probed, with the limits of the device", () => {
    const { device, session } = setUp();
    expect(device.matches(0x8086, 0x0b25)).toBe(true);
    expect(dsaDriver.probe?.(device)).toBe(true);
    expect(session.limits).toEqual({ minMemcpySize: 1, maxMemcpySize: 2 ** 31, maxMemcpyCount: MANY, alignment: 1 });
  });

  it("copies right what it copies, nothing around it, and leaves the source alone", () => {
    const { session, region, bytes } = setUp();
    const range = fc.record({
      source: fc.nat(HALF - 1),
      destination: fc.nat(HALF - 1),
      size: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 3 << 20 })),
      seed: fc.nat(255),
    });
    fc.assert(
      fc.property(range, ({ source, destination, size: wanted, seed }) => {
        const size = Math.min(wanted, HALF - Math.max(source, destination));
        for (let i = 0; i < HALF; i += 4093) bytes[i] = i ^ seed;
        for (let i = 0; i < size; i++) bytes[source + i] = (i * 17 + seed) & 0xff;
        bytes.fill(seed ^ 0xff, HALF);
        const before = bytes.slice(0, HALF);
        session.memcpy(region.iova + BigInt(source), region.iova + BigInt(HALF + destination), size);
        const target = bytes.subarray(HALF);
        expect(
          Buffer.compare(target.subarray(destination, destination + size), before.subarray(source, source + size)),
        ).toBe(0);
        const untouched = [target.subarray(0, destination), target.subarray(destination + size)];
        for (const part of untouched) expect(part.every((byte) => byte === (seed ^ 0xff))).toBe(true);
        expect(Buffer.compare(bytes.subarray(0, HALF), before)).toBe(0);
      }),
      { numRuns: 25 },
    );
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it.each([
    ["from", 0, /0x20 \(memory read refused or failed\)/],
    ["to", 1, /0x21 \(memory write refused or failed\)/],
  ])("reports a copy %s an address that is not mapped, and copies again", (_, side, cause) => {
    const { session, region, bytes } = setUp();
    const addresses: [bigint, bigint] = [region.iova, region.iova + BigInt(HALF)];
    for (const count of [1, 2, 2500]) {
      const bad: [bigint, bigint] = [...addresses];
      bad[side] = NOWHERE;
      session.memcpyStart(...bad, 4096, count);
      const error = thrownBy(() => session.memcpyWait());
      expect(error.code).toBe("EIO");
      expect(error.message).toMatch(cause);
      expect(error.message).toMatch(/GENSTS 0x1, CMDSTATUS 0x0, WQ state 1, occupancy 0, SWERROR empty/);
      bytes[0] = count & 0xff;
      session.memcpy(...addresses, 4096);
      expect(bytes[HALF]).toBe(count & 0xff);
    }
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it("raises exactly one interrupt when asked, also after faults", () => {
    const { session, region } = setUp();
    for (let round = 0; round < 5; round++) {
      session.sendMsi();
      expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
      thrownBy(() => session.memcpy(NOWHERE, region.iova, 64));
      session.memcpy(region.iova, region.iova + BigInt(HALF), 64);
      expect(pendingInterrupts(session)).toBe(0n);
    }
  });

  it.each([2, 3, 1024, 1025, 2049, MANY])("repeats a copy %i times", (count) => {
    const { session, region, bytes } = setUp();
    bytes.fill(0x5a, 0, 4096);
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), 4096, count);
    session.memcpyWait({ timeoutMs: 30_000 });
    expect(bytes.subarray(HALF, HALF + 4096).every((byte) => byte === 0x5a)).toBe(true);
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it("can be removed and brought up again, also during a copy, which then has ended", () => {
    const { session, region, bytes } = setUp();
    for (let round = 0; round < 10; round++) {
      session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
      session.remove();
      bytes.fill(round, HALF);
      session.create();
      expect(bytes.subarray(HALF).every((byte) => byte === round)).toBe(true);
    }
    session.memcpy(region.iova, region.iova + BigInt(HALF), HALF);
  });

  it("notices that the device was reset during a copy, and copies again", () => {
    const { device, session, region, bytes } = setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
    device.reset();
    expect(thrownBy(() => session.memcpyWait()).message).toMatch(/the device is disabled/);
    bytes[0] = 0x99;
    session.memcpy(region.iova, region.iova + BigInt(HALF), 1);
    expect(bytes[HALF]).toBe(0x99);
    session.sendMsi();
    expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
  });

  it("notices that bus mastering was taken away, and brings the halted device back", () => {
    const { device, session, region, bytes } = setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
    device.config.busMaster = false;
    expect(thrownBy(() => session.memcpyWait()).message).toMatch(/0x51 \(PCI configuration changed while enabled\)/);
    bytes[0] = 0x98;
    session.memcpy(region.iova, region.iova + BigInt(HALF), 1);
    expect(bytes[HALF]).toBe(0x98);
    session.sendMsi();
    expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
  });

  it("gives up on a copy that takes too long, and has stopped it", () => {
    const { session, region, bytes } = setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
    const error = thrownBy(() => session.memcpyWait({ timeoutMs: 30 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/\d+ of 32 descriptors not completed, GENSTS 0x1, CMDSTATUS 0x0, WQ state 1/);
    bytes.fill(0x33, HALF);
    session.memcpy(region.iova, region.iova + 64n, 64);
    expect(bytes.subarray(HALF).every((byte) => byte === 0x33)).toBe(true);
  });

  it("works in memory that is not shared by descriptor", () => {
    const { iommu, session } = setUp();
    const memory = DmaMemory.allocate(0x10_0000);
    const region = iommu.map(memory);
    cleanup.push(
      () => memory.close(),
      () => region.unmap(),
    );
    region.bytes.fill(7, 0, 0x4_0000);
    session.memcpy(region.iova, region.iova + 0x8_0000n, 0x4_0000);
    expect(region.bytes.subarray(0x8_0000, 0xc_0000).every((byte) => byte === 7)).toBe(true);
  });

  it("drives two devices at once, each its own", () => {
    const first = setUp();
    const second = open(first.iommu);
    first.bytes.fill(1, 0, 0x10_0000);
    first.bytes.fill(2, 0x10_0000, 0x20_0000);
    const destination = first.region.iova + BigInt(HALF);
    first.session.memcpyStart(first.region.iova, destination, 0x10_0000, 20);
    second.session.memcpyStart(first.region.iova + 0x10_0000n, destination + 0x10_0000n, 0x10_0000, 20);
    second.session.memcpyWait();
    first.session.memcpyWait();
    expect(first.bytes.subarray(HALF, HALF + 0x10_0000).every((byte) => byte === 1)).toBe(true);
    expect(first.bytes.subarray(HALF + 0x10_0000, HALF + 0x20_0000).every((byte) => byte === 2)).toBe(true);
    thrownBy(() => first.session.memcpy(NOWHERE, first.region.iova, 64));
    second.session.memcpy(first.region.iova, destination, 64);
  });
});
