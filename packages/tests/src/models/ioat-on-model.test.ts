import { thrownBy } from "@vfio-selftests/core/testing";
import { ioatDriver } from "@vfio-selftests/driver-ioat";
import { copyEngineTests } from "./copy-engine-tests";
import { HALF, ModelBenches, NOWHERE, pendingInterrupts } from "./model-bench";

const benches = new ModelBenches("ioat", ioatDriver);

describe("the ioat driver on the ioat model", () => {
  copyEngineTests(benches);

  it("is probed as version 3.3 with 1 MiB per descriptor", () => {
    const { device, session } = benches.setUp();
    expect(device.matches(0x8086, 0x2021)).toBe(true);
    expect(ioatDriver.probe?.(device)).toBe(true);
    expect(session.limits).toMatchObject({ maxMemcpySize: 0x10_0000, maxMemcpyCount: 0xffff });
  });

  it.each([
    ["from", 0, "source address"],
    ["to", 1, "destination address"],
  ])("reports a copy %s an address that is not mapped, and copies again", (_, side, cause) => {
    const { session, region, bytes } = benches.setUp();
    const addresses: [bigint, bigint] = [region.iova, region.iova + BigInt(HALF)];
    for (let round = 0; round < 3; round++) {
      const bad: [bigint, bigint] = [...addresses];
      bad[side] = NOWHERE;
      const error = thrownBy(() => session.memcpySync(...bad, 4096));
      expect(error.code).toBe("EIO");
      expect(error.message).toMatch(new RegExp(`${cause} error.*CHANERR 0x${side + 1}`));
      bytes[0] = round + 1;
      session.memcpySync(...addresses, 4096);
      expect(bytes[HALF]).toBe(round + 1);
    }
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it("repeats a copy up to its limit", () => {
    const { session, region, bytes } = benches.setUp();
    bytes.fill(0x5a, 0, 4096);
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), 4096, 0xffff);
    session.memcpyWait({ timeoutMs: 30_000 });
    expect(bytes.subarray(HALF, HALF + 4096).every((byte) => byte === 0x5a)).toBe(true);
  });

  it("can be removed and brought up again, also during a copy, which then has ended", () => {
    const { session, region, bytes } = benches.setUp();
    for (let round = 0; round < 10; round++) {
      session.memcpyStart(region.iova, region.iova + BigInt(HALF), 0x10_0000, 0xffff);
      session.remove();
      bytes.fill(round, HALF);
      session.create();
      expect(bytes.subarray(HALF).every((byte) => byte === round)).toBe(true);
    }
    session.memcpySync(region.iova, region.iova + BigInt(HALF), 0x20_0000);
  });

  it("notices that the device was reset during a copy, and copies again", () => {
    const { device, session, region, bytes } = benches.setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), 0x10_0000, 0xffff);
    device.reset();
    expect(thrownBy(() => session.memcpyWait()).message).toMatch(/the channel halted; no error/);
    bytes[0] = 0x99;
    session.memcpySync(region.iova, region.iova + BigInt(HALF), 1);
    expect(bytes[HALF]).toBe(0x99);
    session.sendMsi();
    expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
  });

  it("gives up on a copy that takes too long, and has stopped it", () => {
    const { session, region, bytes } = benches.setUp();
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), 0x10_0000, 0xffff);
    const error = thrownBy(() => session.memcpyWait({ timeoutMs: 30 }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(error.message).toMatch(/CHANSTS 0x.*DMACOUNT 0xffff/);
    bytes.fill(0x33, HALF);
    session.memcpySync(region.iova, region.iova + 64n, 64);
    expect(bytes.subarray(HALF).every((byte) => byte === 0x33)).toBe(true);
  });
});
