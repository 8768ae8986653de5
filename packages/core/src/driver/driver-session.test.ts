import fc from "fast-check";
import { VfioError } from "../errors/vfio-error";
import type { DmaRegion } from "../iommu/dma-region";
import { Iommu } from "../iommu/iommu";
import { DmaMemory } from "../memory/dma-memory";
import { PciDevice } from "../pci/pci-device";
import { FakeIommuBackend } from "../testing/fake-iommu-backend";
import { FakeVfioDevice } from "../testing/fake-vfio-device";
import type { Driver, DriverInstance, DriverLimits } from "./driver";
import { DriverSession } from "./driver-session";

const MSIX = 2;

/** A driver whose "device" is a loop in memcpyWait that copies within the address space. */
class CopyDriver implements Driver {
  readonly name = "copy";
  readonly ids = [{ vendor: 0, device: 0 }];
  regionSize = 100;
  limits: DriverLimits = { maxMemcpySize: 64, minMemcpySize: 8, maxMemcpyCount: 3, alignment: 4 };
  readonly calls: string[] = [];
  region: DmaRegion | undefined;
  fault: Error | undefined;
  withMsi = true;
  /** Called by remove. */
  removed: (() => void) | undefined;
  /** Called by memcpyWait. */
  waited: (() => void) | undefined;
  /** When the copies end, in milliseconds of `performance.now`. */
  endsAt = 0;
  /** The vector of completion interrupts. Undefined: the driver has none. */
  completionVector: number | undefined;

  constructor(
    readonly backend: FakeIommuBackend,
    readonly vfio: FakeVfioDevice,
  ) {}

  create(device: PciDevice, region: DmaRegion): DriverInstance {
    this.calls.push("create");
    this.region = region;
    device.interrupts.msix.enable(1, 1);
    let copy = (): void => undefined;
    const start: DriverInstance["memcpyStart"] = (source, destination, size, count) => {
      this.calls.push(`start ${size} x${count}`);
      copy = () => {
        const from = this.backend.bytesAt(source, size);
        const to = this.backend.bytesAt(destination, size);
        if (from === undefined || to === undefined)
          throw new VfioError("DMA fault", { code: "EIO", operation: "memcpy" });
        to.set(from);
      };
    };
    const vector = this.completionVector;
    const interrupting = (source: bigint, destination: bigint, size: number): void => {
      start(source, destination, size, 1);
      this.calls.push("will interrupt");
    };
    const instance: DriverInstance = {
      ...(vector === undefined ? {} : { completion: { vector, start: interrupting } }),
      limits: this.limits,
      memcpyStart: start,
      memcpyEnded: () => {
        this.calls.push("ended?");
        return performance.now() >= this.endsAt;
      },
      memcpyWait: (options) => {
        this.calls.push(`wait ${options?.timeoutMs}`);
        this.waited?.();
        if (this.fault !== undefined) throw this.fault;
        if (performance.now() < this.endsAt) {
          this.endsAt = 0;
          throw new VfioError("stopped", { code: "ETIMEDOUT", operation: "memcpy", subject: "0000:01:00.0" });
        }
        copy();
      },
      remove: () => {
        this.calls.push("remove");
        device.interrupts.msix.disable();
        this.removed?.();
      },
    };
    if (!this.withMsi) return instance;
    return { ...instance, msiVector: 1, sendMsi: () => void this.vfio.interrupts.raise(MSIX, 1) };
  }
}

describe("DriverSession", () => {
  let backend: FakeIommuBackend;
  let iommu: Iommu;
  let device: PciDevice;
  let driver: CopyDriver;
  let memory: DmaMemory;
  let buffer: DmaRegion;

  beforeEach(() => {
    const vfio = new FakeVfioDevice({ address: "0000:01:00.0", irqs: { [MSIX]: { count: 4 } } });
    backend = new FakeIommuBackend(() => vfio);
    iommu = new Iommu(backend);
    device = PciDevice.open(iommu, "0000:01:00.0");
    driver = new CopyDriver(backend, vfio);
    memory = DmaMemory.allocate(8192);
    buffer = iommu.map(memory);
  });

  afterEach(() => {
    device.close();
    iommu.close();
    memory.close();
  });

  const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

  test("gives the driver a region of whole pages that another process could map", () => {
    const session = new DriverSession(driver, device, iommu);
    expect(driver.region).toBe(session.region);
    expect(session.region).toMatchObject({ length: 4096, mapped: true });
    expect(session.region.memory.file).toBeDefined();
    session.close();
    session.close();
    expect(driver.calls).toEqual(["create", "remove"]);
    expect(backend.mappings).toHaveLength(1);
    expect(session.region.memory.closed).toBe(true);
  });

  test("create and remove can be repeated, with the same region", () => {
    using session = new DriverSession(driver, device, iommu);
    const { region } = session;
    for (let i = 0; i < 10; i++) {
      session.remove();
      session.remove();
      expect(session.created).toBe(false);
      session.create();
    }
    expect(driver.region).toBe(region);
    expect(() => session.create()).toThrow(withCode("ERR_INVALID_STATE"));
    session.remove();
    expect(() => session.memcpyStart(0n, 0n, 8)).toThrow(/it is removed\n.*call create\(\) first/);
  });

  test("lets one copy at a time run, and no interrupt meanwhile", () => {
    using session = new DriverSession(driver, device, iommu);
    expect(() => session.memcpyWait()).toThrow(/no copy was started/);
    session.memcpyStart(buffer.iova, buffer.iova + 64n, 64, 3);
    expect(session.copying).toBe(true);
    expect(() => session.memcpyStart(buffer.iova, buffer.iova + 64n, 64)).toThrow(/a copy is in progress/);
    expect(() => session.memcpySync(buffer.iova, buffer.iova + 64n, 64)).toThrow(/a copy is in progress/);
    expect(() => session.sendMsi()).toThrow(/a copy is in progress/);
    session.memcpyWait({ timeoutMs: 7 });
    expect(session.copying).toBe(false);
    expect(driver.calls).toEqual(["create", "start 64 x3", "wait 7"]);
  });

  test("remove is allowed during a copy", () => {
    using session = new DriverSession(driver, device, iommu);
    session.memcpyStart(buffer.iova, buffer.iova + 64n, 64);
    session.remove();
    session.create();
    session.memcpySync(buffer.iova, buffer.iova + 64n, 64);
  });

  test("after a failed copy the next one may start", () => {
    using session = new DriverSession(driver, device, iommu);
    driver.fault = new VfioError("halted", { code: "EIO", operation: "memcpy" });
    expect(() => session.memcpySync(buffer.iova, buffer.iova + 64n, 200)).toThrow("halted");
    expect(driver.calls.filter((call) => call.startsWith("start"))).toHaveLength(1);
    driver.fault = undefined;
    session.memcpySync(buffer.iova, buffer.iova + 64n, 64);
  });

  test.each<[string, [bigint, bigint, number, number], string]>([
    ["a size below the least", [0n, 0n, 4, 1], "size is 4; allowed: 8 to 64 bytes, in multiples of 4"],
    ["a size above the greatest", [0n, 0n, 68, 1], "size is 68; allowed: 8 to 64 bytes"],
    ["a size that is not aligned", [0n, 0n, 10, 1], "size is 10"],
    ["a count of 0", [0n, 0n, 8, 0], "count is 0; allowed: 1 to 3"],
    ["a count above the greatest", [0n, 0n, 8, 4], "count is 4"],
    ["a source that is not aligned", [2n, 0n, 8, 1], "source is 0x2; allowed: a bigint from 0x0"],
    ["a destination beyond 64 bits", [0n, 2n ** 64n, 8, 1], "destination is 0x10000000000000000"],
  ])("refuses %s by name and the driver never sees it", (_, [source, destination, size, count], message) => {
    using session = new DriverSession(driver, device, iommu);
    expect(() => session.memcpyStart(source, destination, size, count)).toThrow(message);
    expect(driver.calls).toEqual(["create"]);
    expect(session.copying).toBe(false);
  });

  test("copies any size in chunks that the driver can do, and not a byte more", () => {
    using session = new DriverSession(driver, device, iommu);
    const bytes = new Uint8Array(memory.buffer);
    const [source, destination] = [bytes.subarray(0, 4096), bytes.subarray(4096)];
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1000 }), fc.nat(20), (words, shift) => {
        const size = words * 4;
        const start = shift * 4;
        fc.sample(fc.uint8Array({ minLength: 4096, maxLength: 4096 }), 1).forEach((data) => source.set(data));
        const original = source.slice();
        destination.fill(0xee);
        const length = Math.min(size, 4096 - start - 8);
        session.memcpySync(buffer.iova, buffer.iova + 4096n + BigInt(start), length);
        expect(source).toEqual(original);
        expect(destination.subarray(start, start + length)).toEqual(original.subarray(0, length));
        expect(destination.subarray(0, start).every((byte) => byte === 0xee)).toBe(true);
        expect(destination.subarray(start + length).every((byte) => byte === 0xee)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  describe("memcpy", () => {
    const half = 4096n;

    test("copies in chunks, with what else the event loop has to do in between", async () => {
      using session = new DriverSession(driver, device, iommu);
      const bytes = new Uint8Array(memory.buffer);
      bytes.fill(7, 0, 200);
      let turns = 0;
      // The device ends the first part only when something else has had its turns.
      driver.endsAt = Infinity;
      const timer = setInterval(() => {
        turns++;
        if (turns === 3) driver.endsAt = 0;
      }, 1);
      await session.memcpy(buffer.iova, buffer.iova + half, 200);
      clearInterval(timer);
      expect(turns).toBeGreaterThanOrEqual(3);
      expect(bytes.subarray(4096, 4296).every((byte) => byte === 7)).toBe(true);
      expect(bytes[4296]).toBe(0);
      expect(driver.calls.filter((call) => call.startsWith("start"))).toEqual(
        ["64", "64", "64", "8"].map((size) => `start ${size} x1`),
      );
      expect(session.copying).toBe(false);
    });

    test("asks a device without interrupt with pauses", async () => {
      using session = new DriverSession(driver, device, iommu);
      driver.endsAt = performance.now() + 50;
      const copy = session.memcpy(buffer.iova, buffer.iova + half, 64);
      // The session looks at each turn of the event loop during the first millisecond. This is later.
      await new Promise((resolve) => setTimeout(resolve, 10));
      driver.calls.length = 0;
      await copy;
      expect(performance.now()).toBeGreaterThanOrEqual(driver.endsAt);
      expect(driver.calls.filter((call) => call === "ended?").length).toBeLessThan(12);
    });

    test("is ended by the device's interrupt, and takes it", async () => {
      driver.completionVector = 1;
      using session = new DriverSession(driver, device, iommu);
      driver.endsAt = performance.now() + 3;
      setTimeout(() => driver.vfio.interrupts.raise(MSIX, 1), 5);
      await session.memcpy(buffer.iova, buffer.iova + half, 64);
      expect(driver.calls).toEqual(["create", "start 64 x1", "will interrupt", "ended?", "wait 0"]);
      expect(session.msi.tryRead()).toBeUndefined();
    });

    test("ends also when an error brings no interrupt, and takes one that comes late", async () => {
      driver.completionVector = 1;
      using session = new DriverSession(driver, device, iommu);
      driver.fault = new VfioError("halted", { code: "EIO", operation: "memcpy" });
      await expect(session.memcpy(buffer.iova, buffer.iova + half, 64)).rejects.toBe(driver.fault);
      driver.fault = undefined;
      // The copy has ended. The first look comes after 10 ms, and the interrupt arrives after it.
      const copy = session.memcpy(buffer.iova, buffer.iova + half, 64);
      while (driver.calls.at(-1) !== "ended?") await new Promise((resolve) => setTimeout(resolve, 1));
      driver.vfio.interrupts.raise(MSIX, 1);
      await copy;
      expect(session.msi.tryRead()).toBeUndefined();
    });

    test.each([undefined, 1])("a signal stops the device (vector %p), and the next copy works", async (vector) => {
      driver.completionVector = vector;
      using session = new DriverSession(driver, device, iommu);
      const controller = new AbortController();
      driver.endsAt = Infinity;
      const copy = session.memcpy(buffer.iova, buffer.iova + half, 200, { signal: controller.signal });
      const reason = new Error("enough");
      setTimeout(() => {
        if (vector !== undefined) driver.vfio.interrupts.raise(MSIX, vector);
        controller.abort(reason);
      }, 5);
      await expect(copy).rejects.toBe(reason);
      expect(driver.calls.at(-1)).toBe("wait 0");
      expect(driver.calls.filter((call) => call.startsWith("start"))).toHaveLength(1);
      expect(session.copying).toBe(false);
      expect(session.msi.tryRead()).toBeUndefined();
      driver.endsAt = 0;
      await session.memcpy(buffer.iova, buffer.iova + half, 64);
      await expect(session.memcpy(0n, 0n, 64, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });

    test("a signal that comes when the copy has just ended leaves no interrupt to anybody", async () => {
      driver.completionVector = 1;
      using session = new DriverSession(driver, device, iommu);
      const controller = new AbortController();
      const reason = new Error("enough");
      const copy = session.memcpy(buffer.iova, buffer.iova + half, 64, { signal: controller.signal });
      controller.abort(reason);
      setTimeout(() => driver.vfio.interrupts.raise(MSIX, 1), 3);
      await expect(copy).rejects.toBe(reason);
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(session.msi.tryRead()).toBeUndefined();
      expect(session.copying).toBe(false);
    });

    test.each([undefined, 1])("gives up in time (vector %p), and tells what the driver says", async (vector) => {
      driver.completionVector = vector;
      using session = new DriverSession(driver, device, iommu);
      driver.endsAt = Infinity;
      const copy = session.memcpy(buffer.iova, buffer.iova + half, 64, { timeoutMs: 20 });
      await expect(copy).rejects.toMatchObject({
        code: "ETIMEDOUT",
        message: "the copy did not end within 20 ms: stopped",
      });
      driver.endsAt = 0;
      session.memcpySync(buffer.iova, buffer.iova + half, 64);
    });

    test("nothing else may be started meanwhile, not even between two chunks", async () => {
      using session = new DriverSession(driver, device, iommu);
      driver.endsAt = performance.now() + 10;
      let refused = 0;
      const tryAll = (): void => {
        for (const call of [
          () => session.memcpyStart(0n, 0n, 8),
          () => session.memcpySync(0n, 0n, 8),
          () => session.memcpyWait(),
          () => session.sendMsi(),
        ]) {
          expect(call).toThrow(/a copy is in progress\n.*await the promise of memcpy\(\) first/);
          refused++;
        }
      };
      driver.waited = () => queueMicrotask(tryAll);
      const copy = session.memcpy(buffer.iova, buffer.iova + half, 200);
      tryAll();
      await expect(session.memcpy(0n, 0n, 8)).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
      await copy;
      // At the start, and after each of four chunks, before the promise settles.
      expect(refused).toBe(5 * 4);
    });

    test.each([undefined, 1])("remove and close end it (vector %p)", async (vector) => {
      driver.completionVector = vector;
      const session = new DriverSession(driver, device, iommu);
      driver.endsAt = Infinity;
      const first = session.memcpy(buffer.iova, buffer.iova + half, 64);
      session.remove();
      session.create();
      driver.endsAt = 0;
      session.memcpySync(buffer.iova, buffer.iova + half, 64);
      await expect(first).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
      driver.endsAt = Infinity;
      const second = session.memcpy(buffer.iova, buffer.iova + half, 64);
      driver.calls.length = 0;
      session.close();
      await expect(second).rejects.toMatchObject({ code: "ERR_CLOSED" });
      expect(driver.calls.filter((call) => call.startsWith("wait"))).toEqual([]);
    });

    test("refuses what the limits do not allow, before the driver sees it", async () => {
      using session = new DriverSession(driver, device, iommu);
      await expect(session.memcpy(0n, 0n, 10)).rejects.toThrow("size is 10");
      await expect(session.memcpy(2n, 0n, 8)).rejects.toThrow("source is 0x2");
      await expect(session.memcpy(0n, 0n, 8, { timeoutMs: NaN })).rejects.toThrow("timeoutMs is NaN");
      expect(session.copying).toBe(false);
      expect(driver.calls).toEqual(["create"]);
    });
  });

  test("a driver that lacks a method is removed and refused by name", () => {
    const create = driver.create.bind(driver);
    driver.create = (...args) => {
      const { memcpyEnded: _, ...rest } = create(...args);
      return rest as DriverInstance;
    };
    expect(() => new DriverSession(driver, device, iommu)).toThrow(
      "driver copy: what create() gives has no memcpyEnded()",
    );
    expect(driver.calls).toEqual(["create", "remove"]);
    expect(backend.mappings).toHaveLength(1);
  });

  test("sendMsi raises the vector that msi is", () => {
    using session = new DriverSession(driver, device, iommu);
    expect(session.canSendMsi).toBe(true);
    session.sendMsi();
    expect(session.msi.vector).toBe(1);
    expect(session.msi.waitSync({ timeoutMs: 1000 })).toBe(1n);
  });

  test("a driver that raises no interrupt says so", () => {
    driver.withMsi = false;
    using session = new DriverSession(driver, device, iommu);
    expect(session.canSendMsi).toBe(false);
    expect(() => session.sendMsi()).toThrow("driver copy on 0000:01:00.0 cannot raise an interrupt");
    expect(() => session.msi).toThrow(withCode("ERR_NOT_SUPPORTED"));
  });

  test("a driver with impossible limits is removed and refused, and nothing stays mapped", () => {
    driver.limits = { ...driver.limits, minMemcpySize: 65 };
    expect(() => new DriverSession(driver, device, iommu)).toThrow(withCode("ERR_INVALID_DRIVER"));
    expect(driver.calls).toEqual(["create", "remove"]);
    expect(backend.mappings).toHaveLength(1);
  });

  test("use after close is a clear error", () => {
    const session = new DriverSession(driver, device, iommu);
    session.close();
    for (const call of [
      () => session.create(),
      () => session.limits,
      () => session.memcpyStart(0n, 0n, 8),
      () => session.memcpyWait(),
      () => session.memcpySync(0n, 0n, 8),
      () => session.sendMsi(),
    ]) {
      expect(call).toThrow(withCode("ERR_CLOSED"));
    }
  });

  test("a wait without a proper bound is refused before the copy is started", () => {
    using session = new DriverSession(driver, device, iommu);
    for (const size of [8, 640]) {
      const copy = () => session.memcpySync(buffer.iova, buffer.iova + 4096n, size, { timeoutMs: -1 });
      expect(copy).toThrow(withCode("ERR_INVALID_ARGUMENT"));
    }
    expect(driver.calls).toEqual(["create"]);
    expect(session.copying).toBe(false);
  });

  test("closing goes through to the end, and tells every error", () => {
    const session = new DriverSession(driver, device, iommu);
    driver.removed = () => {
      throw new Error("will not stop");
    };
    const unmap = jest.spyOn(backend, "unmap").mockImplementation(() => {
      throw new VfioError("will not unmap", { code: "EBUSY", operation: "unmap" });
    });
    expect(() => session.close()).toThrow(/will not stop; will not unmap; .*still mapped/);
    unmap.mockRestore();
    session.region.unmap();
    (session.region.memory as unknown as Disposable)[Symbol.dispose]();
    expect(session.region.memory.closed).toBe(true);
  });

  test("a driver that does not come up tells why, and what then went wrong too", () => {
    driver.limits = { ...driver.limits, minMemcpySize: 65 };
    const unmap = jest.spyOn(backend, "unmap").mockImplementation(() => {
      throw new VfioError("will not unmap", { code: "EBUSY", operation: "unmap" });
    });
    expect(() => new DriverSession(driver, device, iommu)).toThrow(/impossible limits.*[^]*will not unmap/);
    unmap.mockRestore();
  });

  test("addresses that are none are refused before anything is copied, in one piece or in several", async () => {
    using session = new DriverSession(driver, device, iommu);
    const wrong = 0x1000 as unknown as bigint;
    for (const size of [8, 640]) {
      for (const [source, destination] of [
        [wrong, buffer.iova],
        [buffer.iova, wrong],
      ] as const) {
        expect(() => session.memcpySync(source, destination, size)).toThrow(withCode("ERR_INVALID_ARGUMENT"));
        await expect(session.memcpy(source, destination, size)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
      }
    }
    expect(driver.calls).toEqual(["create"]);
  });

  test("closing after the address space is gone still frees the region", () => {
    const session = new DriverSession(driver, device, iommu);
    session.remove();
    iommu.close();
    session.close();
    expect(session.region.memory.closed).toBe(true);
  });
});
