import { DmaMemory } from "@vfio-selftests/core";
import { thrownBy } from "@vfio-selftests/core/testing";
import { dsaDriver } from "@vfio-selftests/driver-dsa";
import { copyEngineTests } from "./copy-engine-tests";
import { HALF, ModelRigs, NOWHERE, pendingInterrupts } from "./model-rig";

/** So many repeats of a 4 MiB copy take a while. */
const MANY = 32 * 1024;

const rigs = new ModelRigs("dsa", dsaDriver);

describe("the dsa driver on the dsa model", () => {
  copyEngineTests(rigs);

  it("is probed, with the limits of the device", () => {
    const { device, session } = rigs.setUp();
    expect(device.matches(0x8086, 0x0b25)).toBe(true);
    expect(dsaDriver.probe?.(device)).toBe(true);
    expect(session.limits).toEqual({ minMemcpySize: 1, maxMemcpySize: 2 ** 31, maxMemcpyCount: MANY, alignment: 1 });
  });

  it.each([
    ["from", 0, /0x20 \(memory read refused or failed\)/],
    ["to", 1, /0x21 \(memory write refused or failed\)/],
  ])("reports a copy %s an address that is not mapped, and copies again", (_, side, cause) => {
    const { session, region, bytes } = rigs.setUp();
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
      session.memcpySync(...addresses, 4096);
      expect(bytes[HALF]).toBe(count & 0xff);
    }
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it.each([2, 3, 1024, 1025, 2049, MANY])("repeats a copy %i times", (count) => {
    const { session, region, bytes } = rigs.setUp();
    bytes.fill(0x5a, 0, 4096);
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), 4096, count);
    session.memcpyWait({ timeoutMs: 30_000 });
    expect(bytes.subarray(HALF, HALF + 4096).every((byte) => byte === 0x5a)).toBe(true);
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it("can be removed and brought up again, also during a copy, which then has ended", () => {
    const { session, region, bytes } = rigs.setUp();
    for (let round = 0; round < 10; round++) {
      session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
      session.remove();
      bytes.fill(round, HALF);
      session.create();
      expect(bytes.subarray(HALF).every((byte) => byte === round)).toBe(true);
    }
    session.memcpySync(region.iova, region.iova + BigInt(HALF), HALF);
  });

  it("notices that the device was reset during a copy, and copies again", () => {
    const { device, session, region, bytes } = rigs.setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
    device.reset();
    expect(thrownBy(() => session.memcpyWait()).message).toMatch(/the device is disabled/);
    bytes[0] = 0x99;
    session.memcpySync(region.iova, region.iova + BigInt(HALF), 1);
    expect(bytes[HALF]).toBe(0x99);
    session.sendMsi();
    expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
  });

  it("notices that bus mastering was taken away, and brings the halted device back", () => {
    const { device, session, region, bytes } = rigs.setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
    device.config.busMaster = false;
    expect(thrownBy(() => session.memcpyWait()).message).toMatch(/0x51 \(PCI configuration changed while enabled\)/);
    bytes[0] = 0x98;
    session.memcpySync(region.iova, region.iova + BigInt(HALF), 1);
    expect(bytes[HALF]).toBe(0x98);
    session.sendMsi();
    expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
  });

  it("gives up on a copy that takes too long, and has stopped it", () => {
    const { session, region, bytes } = rigs.setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), HALF, MANY);
    const error = thrownBy(() => session.memcpyWait({ timeoutMs: 30 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/\d+ of 32 descriptors not completed, GENSTS 0x1, CMDSTATUS 0x0, WQ state 1/);
    bytes.fill(0x33, HALF);
    session.memcpySync(region.iova, region.iova + 64n, 64);
    expect(bytes.subarray(HALF).every((byte) => byte === 0x33)).toBe(true);
  });

  it("works in memory that is not shared by descriptor", () => {
    const { iommu, session } = rigs.setUp();
    const region = rigs.map(iommu, DmaMemory.allocate(0x10_0000));
    region.bytes.fill(7, 0, 0x4_0000);
    session.memcpySync(region.iova, region.iova + 0x8_0000n, 0x4_0000);
    expect(region.bytes.subarray(0x8_0000, 0xc_0000).every((byte) => byte === 7)).toBe(true);
  });
});
