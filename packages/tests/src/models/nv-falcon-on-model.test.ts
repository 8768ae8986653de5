import { thrownBy } from "@vfio-selftests/core/testing";
import { nvFalconDriver } from "@vfio-selftests/driver-nv-falcon";
import { HALF, ModelRigs, NOWHERE } from "./model-rig";

const GENERATIONS = [
  "kepler",
  "maxwell1",
  "maxwell2",
  "pascal",
  "pascal10x",
  "volta",
  "turing",
  "ampere",
  "ada",
  "hopper",
] as const;

describe.each(GENERATIONS)("the nv-falcon driver on the model of %s", (generation) => {
  const rigs = new ModelRigs(`nv-falcon-${generation}`, nvFalconDriver);

  it("is probed, and copies right what it copies and nothing around it", () => {
    const { device, session, region, bytes } = rigs.setUp();
    expect(nvFalconDriver.probe?.(device)).toBe(true);
    for (const [from, to, size] of [
      [0, 0, 256],
      [4, 8, 4],
      [0xfc, 0x4, 252],
      [0x14, 0x20, 1020],
      [0x1000, 0x3004, 4096],
    ] as const) {
      for (let i = 0; i < 0x3000; i++) bytes[i] = (i * 17 + size) & 0xff;
      bytes.fill(0xee, HALF, HALF + 0x8000);
      session.memcpySync(region.iova + BigInt(from), region.iova + BigInt(HALF + to), size);
      const expected = Buffer.alloc(0x8000, 0xee);
      expected.set(bytes.subarray(from, from + size), to);
      expect(Buffer.compare(bytes.subarray(HALF, HALF + 0x8000), expected)).toBe(0);
    }
  });

  it("reports a read from an address that is not mapped, stores nothing, and copies again", () => {
    const { session, region, bytes } = rigs.setUp();
    for (let round = 1; round < 4; round++) {
      bytes.fill(0xee, HALF, HALF + 0x1000);
      const error = thrownBy(() => session.memcpySync(NOWHERE, region.iova + BigInt(HALF), 256));
      expect([error.code, error.message]).toEqual(["EIO", expect.stringContaining("received master abort")]);
      expect(bytes.subarray(HALF, HALF + 0x1000).every((byte) => byte === 0xee)).toBe(true);
      bytes[0] = round;
      session.memcpySync(region.iova, region.iova + BigInt(HALF), 256);
      expect(bytes[HALF]).toBe(round);
    }
  });

  it("stops a copy that hangs, and no store of it comes later", () => {
    const { device, session, region, bytes } = rigs.setUp();
    bytes.fill(1, 0, 256);
    device.config.busMaster = false;
    session.memcpyStart(region.iova, region.iova + BigInt(HALF), 256);
    expect(thrownBy(() => session.memcpyWait({ timeoutMs: 20 })).code).toBe("ETIMEDOUT");
    bytes.fill(2, 0, 256);
    session.memcpySync(region.iova, region.iova + BigInt(HALF + 256), 256);
    expect([bytes[HALF], bytes[HALF + 256]]).toEqual([0, 2]);
  });

  it("can be removed and brought up again, also during a copy, and after a reset of the device", () => {
    const { device, session, region, bytes } = rigs.setUp();
    for (let round = 1; round < 4; round++) {
      session.memcpyStart(region.iova, region.iova + BigInt(HALF), 256);
      if (round === 2) device.reset();
      session.remove();
      session.create();
      bytes.fill(round, 0, 256);
      session.memcpySync(region.iova, region.iova + BigInt(HALF), 256);
      expect(bytes[HALF + 255]).toBe(round);
    }
  });
});
