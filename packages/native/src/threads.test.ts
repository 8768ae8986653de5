import { readdirSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { native } from "./index";
import * as linux from "./testing/linux";
import { prelude } from "./testing/node-process";
import { succeeded } from "./testing/succeeded";

/** A worker that runs `code` with `native` and `parentPort` in scope, and the first message it posts. */
function startWorker(code: string, workerData?: unknown): { worker: Worker; message: Promise<unknown> } {
  const worker = new Worker(`${prelude}const { parentPort, workerData } = require("worker_threads");${code}`, {
    eval: true,
    workerData,
  });
  return { worker, message: new Promise((resolve) => worker.once("message", resolve)) };
}

describe("threads", () => {
  it("have numbers", async () => {
    expect(readdirSync("/proc/self/task")).toContain(String(native.gettid()));
    const { worker, message } = startWorker("parentPort.postMessage(native.gettid());");
    const tid = await message;
    expect(tid).not.toBe(native.gettid());
    expect(tid).toBeGreaterThan(0);
    await worker.terminate();
  });

  it("can be bound to CPUs", () => {
    const all = succeeded(native.getAffinity(0));
    expect(all.length).toBeGreaterThan(0);
    expect(native.setAffinity(0, [all[0]!])).toBe(0);
    expect(native.getAffinity(native.gettid())).toEqual([all[0]]);
    expect(native.setAffinity(0, all)).toBe(0);
    expect(native.getAffinity(0)).toEqual(all);
  });

  it("tell the kernel's error", () => {
    expect(native.setAffinity(0, [])).toBe(-linux.EINVAL);
    const absent = 2 ** 30;
    expect(native.getAffinity(absent)).toBe(-linux.ESRCH);
    expect(native.setAffinity(absent, [0])).toBe(-linux.ESRCH);
    expect(native.interruptThread(absent)).toBe(-linux.ESRCH);
  });

  it("are interrupted in a blocking system call", async () => {
    const [left, right] = succeeded(native.socketpair());
    const { worker, message } = startWorker(
      `parentPort.postMessage(native.gettid());
       parentPort.postMessage(native.read(workerData, new Uint8Array(1)));`,
      right,
    );
    const tid = (await message) as number;
    const ended = new Promise((resolve) => worker.once("message", resolve));
    // The worker may not be in read yet when the signal comes, so this repeats it.
    const again = setInterval(() => expect(native.interruptThread(tid)).toBe(0), 5);
    expect(await ended).toBe(-linux.EINTR);
    clearInterval(again);
    await worker.terminate();
    native.close(left);
    native.close(right);
  });

  it("go on waiting with a deadline when interrupted", async () => {
    const [left, right] = succeeded(native.socketpair());
    const { worker, message } = startWorker(
      `parentPort.postMessage(native.gettid());
       const began = performance.now();
       const polled = native.pollBlocking(workerData, 1, 100);
       const received = native.receiveMessage(workerData, new Uint8Array(1), 0, 0, 100, false).length;
       parentPort.postMessage([polled, received, performance.now() - began >= 200]);`,
      right,
    );
    const tid = (await message) as number;
    const ended = new Promise((resolve) => worker.once("message", resolve));
    const again = setInterval(() => native.interruptThread(tid), 10);
    expect(await ended).toEqual([0, -linux.ETIMEDOUT, true]);
    clearInterval(again);
    await worker.terminate();
    native.close(left);
    native.close(right);
  });

  it("refuses wrong arguments", () => {
    expect(() => native.interruptThread(0)).toThrow("interruptThread: tid is 0; allowed is an integer from 1");
    expect(() => native.getAffinity(-1)).toThrow("getAffinity: tid is -1");
    expect(() => native.setAffinity(0, [-1])).toThrow(
      "an element of cpus is -1; allowed is an integer from 0 to 16383",
    );
    expect(() => native.setAffinity(0, 1 as never)).toThrow("setAffinity: cpus is 1; allowed is an array");
  });
});

describe("the addon in worker threads", () => {
  it("works in several at once, each with its own mappings, ioctls and pollers", async () => {
    const code = `
      const io = native.mapIo({ fd: -1, flags: 0x21, length: 4096 });
      const [left, right] = native.socketpair();
      const fd = native.eventfd(0, 0);
      const poller = native.createPoller(fd);
      const argument = new Uint8Array(4);
      let wrong = 0;
      const round = (i) => {
        if (i === 2000) { poller.close(); parentPort.postMessage(wrong); return; }
        io.write32(0, i);
        const memory = native.mapMemory({ fd: -1, flags: 0x22, length: 4096 });
        new Uint32Array(memory.buffer)[0] = i;
        native.sendMessage(left, [new Uint8Array(memory.buffer, 0, 4)], [], 1000);
        native.ioctl(right, 0x541b, argument);
        const into = new Uint32Array(1);
        native.receiveMessage(right, new Uint8Array(into.buffer), 0, 0, 1000, true);
        if (io.read32(0) !== i || argument[0] !== 4 || into[0] !== i || memory.unmap() !== 0) wrong++;
        native.write(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
        poller.start(1, 1000, true, (result) => {
          if (result !== 1) wrong++;
          native.read(fd, new Uint8Array(8));
          round(i + 1);
        });
      };
      round(0);`;
    const workers = [1, 2, 3].map(() => startWorker(code));
    expect(await Promise.all(workers.map(({ message }) => message))).toEqual([0, 0, 0]);
    await Promise.all(workers.map(({ worker }) => worker.terminate()));
  }, 30_000);

  it("turns bus errors into -EFAULT there too", async () => {
    const { worker, message } = startWorker(`
      const fd = native.memfdCreate("w", 0);
      native.ftruncate(fd, 4096);
      const io = native.mapIo({ fd, flags: 1, length: 4096 });
      native.ftruncate(fd, 0);
      parentPort.postMessage([io.read32(0), io.write64(8, 1n)]);`);
    expect(await message).toEqual([-linux.EFAULT, -linux.EFAULT]);
    await worker.terminate();
  });
});

describe("resource limits", () => {
  it("are told and set", () => {
    const [soft, hard] = succeeded<[number, number]>(native.getResourceLimit(linux.RLIMIT_NOFILE));
    expect(soft).toBeGreaterThan(0);
    expect(hard).toBeGreaterThanOrEqual(soft);
    expect(native.setResourceLimit(linux.RLIMIT_NOFILE, soft - 1, hard)).toBe(0);
    expect(native.getResourceLimit(linux.RLIMIT_NOFILE)).toEqual([soft - 1, hard]);
    expect(native.setResourceLimit(linux.RLIMIT_NOFILE, soft, hard)).toBe(0);
  });

  it("may be infinite", () => {
    const RLIMIT_CPU = 0;
    const limits = succeeded<[number, number]>(native.getResourceLimit(RLIMIT_CPU));
    expect(native.setResourceLimit(RLIMIT_CPU, ...limits)).toBe(0);
    expect(native.getResourceLimit(RLIMIT_CPU)).toEqual(limits);
  });

  it("refuses wrong arguments", () => {
    expect(native.getResourceLimit(1000)).toBe(-linux.EINVAL);
    expect(native.setResourceLimit(linux.RLIMIT_NOFILE, 2, 1)).toBe(-linux.EINVAL);
    expect(() => native.setResourceLimit(7, -1, 5)).toThrow("setResourceLimit: soft is -1");
    expect(() => native.setResourceLimit(7, 1, -Infinity)).toThrow("setResourceLimit: hard is -Infinity");
  });
});

describe("the machine", () => {
  it("has pages and features", () => {
    expect(Math.log2(native.pageSize()) % 1).toBe(0);
    const movdir64b = readFileSync("/proc/cpuinfo", "utf8").includes(" movdir64b");
    expect(native.cpuFeatures()).toEqual({ movdir64b });
  });
});
