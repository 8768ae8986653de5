import { setTimeout as sleep } from "node:timers/promises";
import { DmaMemory, type IommuMode, VfioError } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { eachMode, fixture, type KernelLog, note, skip } from "@vfio-selftests/harness";
import { expectFaultReport } from "../devices/silent-faults";
import { openKernelLog } from "../rigs/device/kernel-log";
import { DriverRig } from "../rigs/dma/driver-rig";
import { findDriver } from "../rigs/dma/find-driver";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import type { SuiteTarget } from "../suite-target";

const SEED = 0x5eed;
/** Copies checked so far: the seed of the next one's data. */
let copies = 0;
const RANDOM_COPIES = 100;
/** Bytes. Upstream's tests make the larger copies. */
const LARGEST_COPY = 4 * 1024 ** 2;
/** Bytes that the random copies move within: enough for every chunk boundary, little enough to compare each time. */
const RANDOM_AREA = 64 * 1024;
/** A driver with small copies needs no more of them. */
const RANDOM_CHUNKS = 4;
const GUARD_BYTE = 0xa5;
/** The kernel logs at most ten faults in five seconds. After such a pause it logs the next one. */
const RATE_LIMIT_MS = 5500;
const FAULT_LOG_ATTEMPTS = 3;
/** The time-out that a stopped device must run into, and the most that the driver's recovery may take after it. */
const HUNG_TIMEOUT_MS = 300;
const RECOVERY_MS = 10_000;
/** Long enough for DMA that was not stopped to show. */
const QUIET_MS = 20;
/** A device that ends its copy this many times before it is told to stop does not stop. */
const STOP_TRIES = 20;

/** What upstream's driver test leaves open: faults are reported, data is intact, and a driver survives rough handling. */
export function driverContractSuite(target: SuiteTarget): void {
  fixture("vfio_driver_contract", target, (address) => {
    eachMode(target, (mode) => {
      const open = () => DriverRig.open(target, mode, address, { largestCopy: LARGEST_COPY });

      // This test comes first, before other tests use up the faults that the kernel logs in five seconds.
      if (target.kind !== "models") {
        it("fault_is_in_the_kernel_log", async () => {
          using rig = open();
          using log = openKernelLog();
          const line = await loggedFault(log, rig);
          expect(line).toMatch(/fault/i);
          note(line);
        });
      }

      it("fault_on_read_is_reported", () => {
        using rig = open();
        const { session, unmapped, destination } = rig;
        const size = rig.oneCopy;
        destination.bytes.fill(GUARD_BYTE);
        expectFaultReport(session, "unmapped", () => session.memcpySync(unmapped, destination.iova, size));
        rig.expectNoMsi();
        expectCopy(rig, 0, 0, size);
      });

      it("fault_on_write_is_reported", () => {
        using rig = open();
        const { session, unmapped, source } = rig;
        const size = rig.oneCopy;
        source.bytes.fill(GUARD_BYTE);
        expectFaultReport(session, "unmapped", () => session.memcpySync(source.iova, unmapped, size));
        expect(source.bytes.every((byte) => byte === GUARD_BYTE)).toBe(true);
        rig.expectNoMsi();
        expectCopy(rig, 0, 0, size);
      });

      it("read_only_memory_is_not_written", () => {
        using rig = open();
        const { iommu, session, source } = rig;
        const size = rig.oneCopy;
        using memory = DmaMemory.allocate(size, { backing: "memfd" });
        using readOnly = iommu.map(memory, { access: "read" });
        source.bytes.fill(0x11);
        readOnly.bytes.fill(GUARD_BYTE);
        expectFaultReport(session, "read-only", () => session.memcpySync(source.iova, readOnly.iova, size));
        expect(readOnly.bytes.every((byte) => byte === GUARD_BYTE)).toBe(true);
      });

      it("random_copies", () => {
        using rig = open();
        const { limits } = rig.session;
        const area = Math.min(RANDOM_AREA, rig.size, RANDOM_CHUNKS * limits.maxMemcpySize);
        const random = new PseudoRandom(SEED);
        const steps = Math.floor((area - limits.minMemcpySize) / limits.alignment);
        note(`seed 0x${SEED.toString(16)}, ${RANDOM_COPIES} copies of ${limits.minMemcpySize} to ${area} bytes`);
        for (let i = 0; i < RANDOM_COPIES; i++) {
          const size = limits.minMemcpySize + random.below(steps + 1) * limits.alignment;
          const places = Math.floor((area - size) / limits.alignment) + 1;
          const from = random.below(places) * limits.alignment;
          const to = random.below(places) * limits.alignment;
          expectCopy(rig, from, to, size, area);
        }
      });

      it("chunk_tails", () => {
        using rig = open();
        const { maxMemcpySize, minMemcpySize, alignment } = rig.session.limits;
        const tails = [0, alignment, minMemcpySize, maxMemcpySize - alignment];
        const sizes = [...new Set(tails)].map((tail) => 2 * maxMemcpySize + tail);
        if (Math.max(...sizes) > rig.size) {
          skip({
            reason: `one copy of the driver may have ${maxMemcpySize} bytes: more than this test's memory`,
            remedy: "use a driver whose copies are limited to 1 MiB",
          });
        }
        for (const size of sizes) expectCopy(rig, 0, 0, size);
      });

      it("remove_during_copy", () => {
        using rig = open();
        const { session, source, destination } = rig;
        session.memcpyStart(source.iova, destination.iova, rig.oneCopy, session.limits.maxMemcpyCount);
        session.remove();
        // Nothing of the old copy may arrive any more.
        destination.bytes.fill(GUARD_BYTE);
        session.create();
        expect(destination.bytes.every((byte) => byte === GUARD_BYTE)).toBe(true);
        expectCopy(rig, 0, 0, rig.oneCopy);
      });

      it("reset_during_copy", () => {
        using rig = open();
        const { device, session, source, destination } = rig;
        if (!device.info.resettable) {
          skip({ reason: "the device has no reset method", remedy: "use a device with function-level reset" });
        }
        session.memcpyStart(source.iova, destination.iova, rig.oneCopy, session.limits.maxMemcpyCount);
        device.reset();
        session.remove();
        session.create();
        expectCopy(rig, 0, 0, rig.oneCopy);
      });

      it("hung_device_times_out", () => {
        using rig = open();
        const { device, session, source, destination } = rig;
        const size = rig.oneCopy;
        // Without bus mastering the device cannot fetch the work it is given.
        device.config.busMaster = false;
        const started = performance.now();
        session.memcpyStart(source.iova, destination.iova, size);
        let error: unknown = "memcpyWait returned: the device copied although it may not master the bus";
        try {
          session.memcpyWait({ timeoutMs: HUNG_TIMEOUT_MS });
        } catch (thrown) {
          error = thrown;
        }
        expect(error).toBeInstanceOf(VfioError);
        expect(performance.now() - started).toBeLessThan(HUNG_TIMEOUT_MS + RECOVERY_MS);
        session.remove();
        session.create();
        expectCopy(rig, 0, 0, size);
      });

      it("awaited_copies", async () => {
        using rig = open();
        const { session, source, destination, size } = rig;
        new PseudoRandom(SEED).fill(source.bytes);
        destination.bytes.fill(GUARD_BYTE);
        const started = performance.now();
        await session.memcpy(source.iova, destination.iova, size);
        const chunks = Math.ceil(size / session.limits.maxMemcpySize);
        note(`${size} bytes, ${chunks} chunk(s), ${(performance.now() - started).toFixed(1)} ms`);
        expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0);
        rig.expectNoMsi();
      });

      it("signal_stops_an_awaited_copy", async () => {
        using rig = open();
        const { session, source, destination, size } = rig;
        const stopped = async (): Promise<boolean> => {
          const controller = new AbortController();
          const reason = new Error("enough");
          const copy = session.memcpy(source.iova, destination.iova, size, { signal: controller.signal });
          controller.abort(reason);
          const outcome = await copy.then(
            () => "ended",
            (error: unknown) => error,
          );
          // The device may have been faster than this process.
          if (outcome === "ended") return false;
          expect(outcome).toBe(reason);
          return true;
        };
        let tries = 1;
        while (!(await stopped())) expect(tries++).toBeLessThan(STOP_TRIES);
        destination.bytes.fill(GUARD_BYTE);
        await sleep(QUIET_MS);
        expect(destination.bytes.every((byte) => byte === GUARD_BYTE)).toBe(true);
        rig.expectNoMsi();
        expectCopy(rig, 0, 0, size);
      });

      it("limits_are_enforced", () => {
        using rig = open();
        const { session, source, destination } = rig;
        const { maxMemcpySize, minMemcpySize, maxMemcpyCount, alignment } = session.limits;
        const start = (size: number, count = 1) => session.memcpyStart(source.iova, destination.iova, size, count);
        expect(() => start(maxMemcpySize + alignment)).toThrow(/size/);
        expect(() => start(minMemcpySize - 1)).toThrow(/size/);
        expect(() => start(maxMemcpySize, maxMemcpyCount + 1)).toThrow(/count/);
        start(rig.oneCopy);
        expect(() => start(rig.oneCopy)).toThrow(/in progress/);
        session.memcpyWait();
      });
    });
  });

  severalDevices(target);
}

/** Two devices at work in one address space at the same time. */
function severalDevices(target: SuiteTarget): void {
  describe("vfio_driver_pairs", () => {
    eachMode(target, (mode) => {
      it("two_devices_at_once", () => {
        const [first, second] = target.devices;
        if (first === undefined || second === undefined) {
          skip({ reason: "the run has one device", remedy: "name two: -d ADDRESS -d ADDRESS" });
        }
        copyOnTwoDevices(target, mode, first, second);
      });
    });
  });
}

function copyOnTwoDevices(target: SuiteTarget, mode: IommuMode, first: string, second: string): void {
  using rig = DriverRig.open(target, mode, first, { largestCopy: LARGEST_COPY });
  using other = rig.openSecond(second);
  using otherSession = new DriverSession(findDriver(target, other), other, rig.iommu);
  const limits = [rig.session.limits, otherSession.limits];
  const size = Math.min(rig.size / 2, ...limits.map(({ maxMemcpySize }) => maxMemcpySize));
  const { source, destination } = rig;
  new PseudoRandom(SEED).fill(source.bytes.subarray(0, 2 * size));
  destination.bytes.fill(GUARD_BYTE, 0, 2 * size);

  const count = Math.min(64, ...limits.map(({ maxMemcpyCount }) => maxMemcpyCount));
  rig.session.memcpyStart(source.iova, destination.iova, size, count);
  otherSession.memcpyStart(source.iovaOf(size), destination.iovaOf(size), size, count);
  otherSession.memcpyWait();
  rig.session.memcpyWait();

  const used = (bytes: Uint8Array) => bytes.subarray(0, 2 * size);
  expect(Buffer.compare(used(destination.bytes), used(source.bytes))).toBe(0);
}

/** Makes the device fault at an address of its own and waits for the IOMMU driver's message about it. */
async function loggedFault(log: KernelLog, { session, unmapped, destination, oneCopy }: DriverRig): Promise<string> {
  const address = unmapped.toString(16);
  for (let attempt = 0; attempt < FAULT_LOG_ATTEMPTS; attempt++) {
    log.newLines();
    try {
      session.memcpySync(unmapped, destination.iova, oneCopy);
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
    }
    const deadline = performance.now() + RATE_LIMIT_MS;
    while (performance.now() < deadline) {
      const line = log.newLines().find((text) => /fault/i.test(text) && text.includes(address));
      if (line !== undefined) return line;
      await sleep(50);
    }
  }
  throw new Error(`the kernel logged no fault at 0x${address}`);
}

/**
 * Copies, and checks what dmatest checks: the source is unchanged, the range is copied, and the destination around it
 * is untouched. It compares `area` bytes of both sides.
 */
function expectCopy(rig: DriverRig, from: number, to: number, size: number, area = rig.size): void {
  const source = rig.source.bytes.subarray(0, area);
  const destination = rig.destination.bytes.subarray(0, area);
  // New data for each copy: a device that copies what it has from an older one must not pass.
  new PseudoRandom(++copies).fill(source.subarray(from, from + size));
  const before = Buffer.from(source);
  destination.fill(GUARD_BYTE);
  rig.session.memcpySync(rig.source.iovaOf(from), rig.destination.iovaOf(to), size);

  const expected = Buffer.alloc(area, GUARD_BYTE);
  before.copy(expected, to, from, from + size);
  const what = { from, to, size };
  expect({ ...what, sourceUnchanged: Buffer.compare(source, before) === 0 }).toEqual({
    ...what,
    sourceUnchanged: true,
  });
  expect({ ...what, firstWrong: firstDifference(destination, expected) }).toEqual({ ...what, firstWrong: undefined });
}

function firstDifference(actual: Uint8Array, expected: Uint8Array): number | undefined {
  if (Buffer.compare(actual, expected) === 0) return undefined;
  return actual.findIndex((byte, index) => byte !== expected[index]);
}
