import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { VfioDevice, VfioError } from "@vfio-selftests/core";
import { DmaMemory, Eventfd, Iommu } from "@vfio-selftests/core";
import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { VfioUserBackend } from "../../client/vfio-user-backend";
import { VfioUserMode } from "../../client/vfio-user-mode";
import { MAX_MESSAGE_SIZE } from "../../protocol/limits";
import { MessageBuffer } from "../../protocol/message-buffer";
import { startScratchModel } from "../../testing/model-thread";
import { MessageGenerator, Random } from "../../testing/random-messages";
import { Scratch, ScratchModel } from "../../testing/scratch-model";
import { ListeningSocket } from "../listen/listening-socket";
import { ServedDevice } from "../served-device";
import type { ModelWorker } from "./model-worker";

const MIB = 1024 * 1024;
const oddModels = join(__dirname, "../../testing/odd-models.ts");
const workers: ModelWorker[] = [];
let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-user-"));
});
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.close();
});

function start(options: Parameters<typeof startScratchModel>[0] = {}): ModelWorker {
  const worker = startScratchModel(options);
  workers.push(worker);
  return worker;
}

/**
 * Waits until there are no more descriptors than `expected`, because the thread closes late what its last client left.
 */
async function openDescriptorsToBe(expected: number): Promise<void> {
  const deadline = performance.now() + 5000;
  while (openDescriptors() > expected && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(openDescriptors()).toBeLessThanOrEqual(expected);
}

function iommuOf(worker: ModelWorker): Iommu {
  const connectModel = () => ({ fd: worker.connect(), failure: () => worker.failure });
  return new Iommu(new VfioUserMode({ connectModel, timeoutMs: 2000 }).open());
}

function read32(device: VfioDevice, offset: number): number {
  const bytes = new Uint8Array(4);
  device.readRegion(0, offset, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
}

function write(device: VfioDevice, offset: number, value: bigint, width: 4 | 8): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  device.writeRegion(0, offset, bytes.subarray(0, width));
}

function startCopy(device: VfioDevice, source: bigint, destination: bigint, size: number, command = 1n): void {
  write(device, Scratch.source, source, 8);
  write(device, Scratch.destination, destination, 8);
  write(device, Scratch.size, BigInt(size), 8);
  write(device, Scratch.command, command, 4);
}

test("a device keeps its state from one client to the next, and drops the client's memory and interrupts", () => {
  const worker = start();
  for (let client = 0; client < 3; client += 1) {
    using iommu = iommuOf(worker);
    const device = iommu.openDevice("model:scratch");
    expect(read32(device, 0)).toBe(client);
    write(device, 0, BigInt(client + 1), 4);
  }
});

test("an interrupt arrives when the copy is done; registers answer and a reset works during a long one", async () => {
  const worker = start();
  using memory = DmaMemory.allocate(16 * MIB, { backing: "memfd" });
  using iommu = iommuOf(worker);
  const device = iommu.openDevice("model:scratch");
  // Maps the same memory many times in a row, for a copy that lasts.
  for (let i = 0; i < 64; i += 1) iommu.map(memory, { iova: BigInt(i * memory.length) });
  using event = new Eventfd();
  device.setIrqs({ index: 2, action: "trigger", start: 0, count: 1, data: { eventfds: [event.fd] } });
  startCopy(device, 0n, 0n, 16 * MIB, 2n);
  expect(await event.wait()).toBe(1n);
  expect(read32(device, Scratch.status)).toBe(2);
  startCopy(device, 0n, 0n, 1024 * MIB, 2n);
  expect(read32(device, Scratch.status)).toBe(1);
  device.reset();
  expect(read32(device, Scratch.status)).toBe(0);
  expect(event.tryRead()).toBeUndefined();
});

test("several devices share one address space, and a later one has the existing maps", () => {
  const [first, second] = [start(), start()];
  const connectModel = (name: string) => ({ fd: (name === "one" ? first : second).connect() });
  using iommu = new Iommu(new VfioUserMode({ connectModel }).open());
  using memory = DmaMemory.allocate(8192, { backing: "memfd" });
  const bytes = new Uint8Array(memory.buffer);
  const one = iommu.openDevice("model:one");
  const region = iommu.map(memory);
  const two = iommu.openDevice("model:two");
  bytes.fill(0x11, 0, 4096);
  for (const [device, at] of [
    [one, 4096n],
    [two, 6144n],
  ] as const) {
    startCopy(device, region.iova, region.iova + at, 2048);
    while (read32(device, Scratch.status) === 1);
    expect(read32(device, Scratch.status)).toBe(2);
  }
  expect([bytes[4096], bytes[6144], bytes[8191]]).toEqual([0x11, 0x11, 0x11]);
  expect(region.unmap()).toBe(8192n);
  for (const device of [one, two]) {
    startCopy(device, region.iova, region.iova, 8);
    while (read32(device, Scratch.status) === 1);
    expect(read32(device, Scratch.status)).toBe(3);
  }
});

test("unmapping returns the bytes, cuts nothing in two, and takes any number of maps at once", () => {
  const worker = start();
  using iommu = iommuOf(worker);
  iommu.openDevice("model:scratch");
  using memory = DmaMemory.allocate(4 * 4096, { backing: "memfd" });
  const { backend } = iommu;
  for (let page = 0; page < 4; page += 1) backend.map(memory, page * 4096, 4096, BigInt(page) * 8192n, "read-write");
  const errorOf = (action: () => unknown) => {
    try {
      action();
      return "none";
    } catch (error) {
      return (error as VfioError).code;
    }
  };
  expect(errorOf(() => backend.map(memory, 0, 4096, 0n, "read"))).toBe("EEXIST");
  expect(errorOf(() => backend.map(memory, 0, 8192, 2n ** 64n - 4096n, "read"))).toBe("EOVERFLOW");
  expect(errorOf(() => backend.unmap(2n ** 64n - 4096n, 8192n))).toBe("EOVERFLOW");
  expect(errorOf(() => backend.map(memory, 0, 4096, 2n ** 60n, "read"))).toBe("EINVAL");
  expect(errorOf(() => backend.map(memory, 0, 4096, 1n, "read"))).toBe("EINVAL");
  expect(errorOf(() => backend.map({ address: 0n, length: 4096, closed: false }, 0, 4096, 0x100000n, "read"))).toBe(
    "EFAULT",
  );
  expect(errorOf(() => backend.unmap(0n, 0n))).toBe("EINVAL");
  expect(backend.unmap(0x100000n, 4096n)).toBe(0n);
  expect(backend.unmap(0n, 8192n * 2n)).toBe(8192n);
  expect(backend.unmapAll()).toBe(8192n);
  expect(backend.unmapAll()).toBe(0n);
  backend.map(memory, 0, 16384, 0n, "read-write");
  expect(errorOf(() => backend.unmap(4096n, 4096n))).toBe("EINVAL");
  expect(backend.unmap(0n, 16384n)).toBe(16384n);
});

test("owner and client learn why a model cannot be made", () => {
  const worker = start({ exportName: "noSuchThing" });
  const backend = new VfioUserBackend({
    connectModel: () => ({ fd: worker.connect(), failure: () => worker.failure }),
  });
  expect(() => backend.openDevice("model:x")).toThrow(/exports no function noSuchThing/);
  expect(() => worker.ready()).toThrow(/exports no function noSuchThing/);
});

test("wrong addresses and options say what is allowed", () => {
  const backend = new VfioUserBackend();
  expect(() => backend.openDevice("0000:01:00.0")).toThrow(/vfio-user:PATH/);
  expect(() => backend.openDevice(`vfio-user:${directory}/nobody`)).toThrow(/start the server/);
  expect(() => backend.openDevice("vfio-user:x", { vfToken: "t" })).toThrow(/no VF tokens/);
});

describe("a socket in the file system", () => {
  test("serves one client after the other, and is removed at the end", async () => {
    const path = join(directory, "model.sock");
    const worker = start({ socketPath: path });
    worker.ready();
    for (let client = 0; client < 2; client += 1) {
      using iommu = new Iommu(new VfioUserMode().open());
      expect(read32(iommu.openDevice(`vfio-user:${path}`), 0)).toBe(0);
    }
    await worker.close();
    expect(existsSync(path)).toBe(false);
  });

  test("a second client waits until the first one has gone", () => {
    const path = join(directory, "busy.sock");
    start({ socketPath: path }).ready();
    const mode = new VfioUserMode({ startTimeoutMs: 100 });
    using first = new Iommu(mode.open());
    first.openDevice(`vfio-user:${path}`);
    using second = new Iommu(mode.open());
    expect(() => second.openDevice(`vfio-user:${path}`)).toThrow(/one client at a time/);
    first.close();
    expect(second.openDevice(`vfio-user:${path}`).info.regionCount).toBe(9);
  });

  test("replaces a stale one, but no live one and no other file", () => {
    const path = join(directory, "stale.sock");
    const dead = native.unixListen(path, 1);
    native.close(dead);
    expect(existsSync(path)).toBe(true);
    const socket = new ListeningSocket(path);
    expect(() => new ListeningSocket(path)).toThrow(/another server listens/);
    expect(socket.accept(0)).toBeDefined(); // the probe of the line before
    socket.close();
    socket.close();
    writeFileSync(path, "precious");
    expect(() => new ListeningSocket(path)).toThrow(/is no socket/);
    expect(() => new ListeningSocket("x".repeat(108))).toThrow(/1 to 107 bytes/);
    symlinkSync("circle", join(directory, "circle"));
    for (const folder of ["no", "circle"]) {
      const refused = expect.objectContaining({ name: "VfioError", remedy: expect.any(String) as string }) as Error;
      expect(() => new ListeningSocket(join(directory, folder, "where"))).toThrow(refused);
    }
  });
});

test("clients that come and go, with maps and interrupts, leave nothing behind", async () => {
  const worker = start();
  worker.ready();
  const once = () => {
    using iommu = iommuOf(worker);
    const device = iommu.openDevice("model:scratch");
    using memory = DmaMemory.allocate(8192, { backing: "memfd" });
    iommu.map(memory);
    using event = new Eventfd();
    device.setIrqs({ index: 2, action: "trigger", start: 0, count: 3, data: { eventfds: [event.fd, -1, event.fd] } });
    write(device, Scratch.command, 3n, 4);
    iommu.close();
  };
  once();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = openDescriptors();
  for (let i = 0; i < 100; i += 1) once();
  await openDescriptorsToBe(before);
});

test("the server survives generated messages on real sockets", async () => {
  const worker = start({ options: { throws: false } });
  worker.ready();
  const memfd = native.memfdCreate("fuzz", 2);
  native.ftruncate(memfd, 65536);
  native.fcntl(memfd, 1033, 2);
  const before = openDescriptors();
  const random = new Random(7);
  const buffer = new MessageBuffer(MAX_MESSAGE_SIZE);
  const generator = new MessageGenerator(random, buffer);
  const drain = new Uint8Array(65536);
  let sent = 0;
  while (sent < 20_000) {
    const fd = worker.connect();
    for (let greeted = false, open = true; open && sent < 20_000; sent += 1) {
      const fds = greeted ? generator.any() : generator.greeting();
      greeted = true;
      const length = Math.min(buffer.size, 4096);
      // Now and then a message is cut off, and its client goes.
      const cut = random.below(500) === 0 ? random.below(length) + 1 : length;
      open =
        native.sendMessage(fd, [buffer.bytes.subarray(0, Math.max(1, cut))], Array<number>(fds).fill(memfd), 1000) >
          0 && cut === length;
      for (;;) {
        const { length: got, fds: received } = native.receiveMessage(fd, drain, 16, 0, 0, false);
        for (const one of received) native.close(one);
        if (got <= 0) break;
      }
    }
    native.close(fd);
  }
  using iommu = iommuOf(worker);
  const device = iommu.openDevice("model:scratch");
  device.reset();
  expect(read32(device, Scratch.status)).toBe(0);
  iommu.close();
  await openDescriptorsToBe(before);
  native.close(memfd);
}, 60_000);

test("a thread neither keeps the process alive nor delays its end", async () => {
  const script = `
    const { startScratchModel } = require("${join(__dirname, "../../testing/model-thread.ts")}");
    const { VfioUserBackend } = require("${join(__dirname, "../../client/vfio-user-backend.ts")}");
    const worker = startScratchModel();
    new VfioUserBackend({ connectModel: () => ({ fd: worker.connect() }) }).openDevice("model:x");
    console.log("open");`;
  const register = join(__dirname, "../../testing/register-typescript.cjs");
  const { stdout } = await promisify(execFile)(process.execPath, ["-r", register, "-e", script], { timeout: 20_000 });
  expect(stdout).toBe("open\n");
}, 30_000);

describe("a thread that a system call blocks", () => {
  const blocked = { module: oddModels, exportName: "createBlockedModel" };

  test("ends when its owner closes it", async () => {
    const worker = start(blocked);
    const backend = new VfioUserBackend({ connectModel: () => ({ fd: worker.connect() }), timeoutMs: 100 });
    const device = backend.openDevice("model:stuck");
    expect(() => device.readRegion(2, 0, new Uint8Array(4))).toThrow(/no answer/);
    const began = performance.now();
    await worker.close({ graceMs: 100 });
    expect(performance.now() - began).toBeLessThan(1500);
    backend.close();
  });

  test("does not delay the end of the process", async () => {
    const script = `
      const { startScratchModel } = require("${join(__dirname, "../../testing/model-thread.ts")}");
      const { VfioUserBackend } = require("${join(__dirname, "../../client/vfio-user-backend.ts")}");
      const worker = startScratchModel(${JSON.stringify(blocked)});
      const backend = new VfioUserBackend({ connectModel: () => ({ fd: worker.connect() }), timeoutMs: 100 });
      const device = backend.openDevice("model:x");
      try {
        device.readRegion(2, 0, new Uint8Array(4));
      } catch ({ code }) {
        console.log(code);
      }`;
    const register = join(__dirname, "../../testing/register-typescript.cjs");
    const { stdout } = await promisify(execFile)(process.execPath, ["-r", register, "-e", script], { timeout: 20_000 });
    expect(stdout).toBe("ETIMEDOUT\n");
  }, 30_000);
});

test("a client that never pauses does not keep the thread's event loop from turning", () => {
  const worker = start({ module: oddModels, exportName: "createTimedModel" });
  const backend = new VfioUserBackend({ connectModel: () => ({ fd: worker.connect() }) });
  const device = backend.openDevice("model:timed");
  const fired = new Uint32Array(1);
  const read = (): void => device.readRegion(2, 0, new Uint8Array(fired.buffer));
  read();
  const [before = 0] = fired;
  for (let i = 0; i < 35_000; i += 1) read();
  expect(fired[0]).toBeGreaterThan(before);
  backend.close();
}, 20_000);

test("a model's error reaches its owner, and nobody else", () => {
  const told: string[] = [];
  const model = new ScratchModel();
  model.step = () => {
    throw new Error("step");
  };
  model.reset = () => {
    throw new Error("reset");
  };
  const device = new ServedDevice(model, { onModelError: (error, during) => told.push(`${during}: ${String(error)}`) });
  expect(device.step()).toBe(false);
  expect(device.reset()).toBe(false);
  expect(told).toEqual(["step: Error: step", "reset: Error: reset"]);
});
