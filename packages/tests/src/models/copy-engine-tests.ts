import fc from "fast-check";
import { InterruptVector } from "@vfio-selftests/core";
import { thrownBy } from "@vfio-selftests/core/testing";
import { HALF, type ModelRigs, NOWHERE, pendingInterrupts } from "./model-rig";

/** Tests of what every driver must do on its model, whatever registers the device has. */
export function copyEngineTests(rigs: ModelRigs): void {
  it("copies right what it copies, nothing around it, and leaves the source alone", () => {
    const { session, region, bytes } = rigs.setUp();
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
        session.memcpySync(region.iova + BigInt(source), region.iova + BigInt(HALF + destination), size);
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

  it("copies on the event loop, ended by the device's interrupt, which nobody else sees", async () => {
    const { session, region, bytes } = rigs.setUp();
    for (const size of [1, 4096, 3 << 20]) {
      bytes.fill(size & 0x7f, 0, HALF);
      bytes.fill(0, HALF);
      await session.memcpy(region.iova, region.iova + BigInt(HALF), size);
      expect(bytes.subarray(HALF, HALF + size).every((byte) => byte === (size & 0x7f))).toBe(true);
      expect(bytes.subarray(HALF + size).every((byte) => byte === 0)).toBe(true);
      expect(pendingInterrupts(session)).toBe(0n);
    }
    // The interrupt ended each wait. Without it the wait rejects with ETIMEDOUT, and the driver reads the device to end
    // the copy.
    const waits = jest.spyOn(InterruptVector.prototype, "wait");
    for (let i = 0; i < 1000; i++) await session.memcpy(region.iova, region.iova + BigInt(HALF), 64);
    const outcomes = await Promise.allSettled(waits.mock.results.map(({ value }) => value as Promise<bigint>));
    waits.mockRestore();
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1000);
    expect(pendingInterrupts(session)).toBe(0n);
  });

  it("reports a fault of an awaited copy, with its interrupt or without, and copies again", async () => {
    const { session, region } = rigs.setUp();
    for (let round = 0; round < 5; round++) {
      await expect(session.memcpy(NOWHERE, region.iova, 64)).rejects.toMatchObject({ code: "EIO" });
      await session.memcpy(region.iova, region.iova + BigInt(HALF), 64);
      expect(pendingInterrupts(session)).toBe(0n);
    }
    session.sendMsi();
    expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
  });

  it("stops an awaited copy at its signal: no DMA is left, and the next copy works", async () => {
    const { session, region, bytes } = rigs.setUp();
    const reason = new Error("enough");
    let stopped = 0;
    for (let round = 0; round < 20; round++) {
      bytes.fill(1, 0, HALF);
      const controller = new AbortController();
      const copy = session.memcpy(region.iova, region.iova + BigInt(HALF), HALF, { signal: controller.signal });
      // At once, too: on a busy machine the whole copy may end before this thread's next turn.
      if (round % 3 === 0) controller.abort(reason);
      else if (round % 3 === 1) setImmediate(() => controller.abort(reason));
      else setTimeout(() => controller.abort(reason), 1);
      await copy.catch((error: unknown) => {
        expect(error).toBe(reason);
        stopped++;
      });
      bytes.fill(0, HALF);
      session.memcpySync(region.iova, region.iova + BigInt(HALF), 64);
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(bytes.subarray(HALF + 64).every((byte) => byte === 0)).toBe(true);
      expect(pendingInterrupts(session)).toBe(0n);
    }
    expect(stopped).toBeGreaterThan(0);
  });

  it("raises exactly one interrupt when asked, also after faults", () => {
    const { session, region } = rigs.setUp();
    for (let round = 0; round < 5; round++) {
      session.sendMsi();
      expect(session.msi.waitSync({ timeoutMs: 2000 })).toBe(1n);
      thrownBy(() => session.memcpySync(NOWHERE, region.iova, 64));
      session.memcpySync(region.iova, region.iova + BigInt(HALF), 64);
      expect(pendingInterrupts(session)).toBe(0n);
    }
  });

  it("drives two devices at once, each its own", () => {
    const first = rigs.setUp();
    const second = rigs.open(first.iommu);
    const { region, bytes } = first;
    const destination = region.iova + BigInt(HALF);
    bytes.fill(1, 0, 0x10_0000);
    bytes.fill(2, 0x10_0000, 0x20_0000);
    first.session.memcpyStart(region.iova, destination, 0x10_0000, 20);
    second.session.memcpyStart(region.iova + 0x10_0000n, destination + 0x10_0000n, 0x10_0000, 20);
    second.session.memcpyWait();
    first.session.memcpyWait();
    expect(bytes.subarray(HALF, HALF + 0x10_0000).every((byte) => byte === 1)).toBe(true);
    expect(bytes.subarray(HALF + 0x10_0000, HALF + 0x20_0000).every((byte) => byte === 2)).toBe(true);
    thrownBy(() => first.session.memcpySync(NOWHERE, region.iova, 64));
    second.session.memcpySync(region.iova, destination, 64);
  });
}
