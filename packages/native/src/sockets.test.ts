import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { native } from "./index";
import * as linux from "./testing/linux";
import { prelude } from "./testing/node-process";
import { openDescriptors } from "./testing/open-descriptors";
import { nonNegative, succeeded } from "./testing/succeeded";

const nothing = { fds: [], fdsTruncated: false };
const receive = (fd: number, into: Uint8Array, maxFds = 0, timeoutMs = 1000, waitAll = false) =>
  native.receiveMessage(fd, into, maxFds, 0, timeoutMs, waitAll);

describe("messages", () => {
  let left: number;
  let right: number;
  let before: number;
  beforeEach(() => {
    before = openDescriptors();
    [left, right] = succeeded(native.socketpair());
  });
  afterEach(() => {
    native.close(left);
    native.close(right);
    expect(openDescriptors()).toBe(before);
  });

  it("are gathered from parts and received into a view", () => {
    const parts = ["head", "", "er", "!"].map((text) => Buffer.from(text));
    expect(native.sendMessage(left, parts, [], 1000)).toBe(7);
    const memory = Buffer.alloc(12, ".");
    expect(receive(right, memory.subarray(2, 10))).toEqual({ ...nothing, length: 7 });
    expect(memory.toString()).toBe("..header!...");
  });

  it("carry descriptors, close-on-exec, that share the open file", () => {
    const sent = [nonNegative(native.memfdCreate("sent", 0)), nonNegative(native.eventfd(5, 0))];
    native.pwrite(sent[0]!, Buffer.from("inside"), 0);
    expect(native.sendMessage(left, [Buffer.from("x")], sent, 1000)).toBe(1);
    sent.forEach(native.close);
    const message = receive(right, new Uint8Array(4), 8);
    expect(message).toMatchObject({ length: 1, fdsTruncated: false });
    expect(message.fds).toHaveLength(2);
    const into = Buffer.alloc(6);
    native.pread(message.fds[0]!, into, 0);
    expect(into.toString()).toBe("inside");
    expect(native.fcntl(message.fds[0]!, linux.F_GETFD)).toBe(linux.FD_CLOEXEC);
    message.fds.forEach(native.close);
  });

  it.each([
    [3, 1],
    [3, 2],
    [2, 0],
    [1, 1],
    [253, 253],
  ])("of %i descriptors fit into room for %i, and the surplus is closed", (count, room) => {
    const sent = Array.from({ length: count }, () => nonNegative(native.eventfd(0, 0)));
    native.sendMessage(left, [Buffer.from("x")], sent, 1000);
    sent.forEach(native.close);
    const message = receive(right, new Uint8Array(1), room);
    expect(message.fds).toHaveLength(Math.min(count, room));
    expect(message.fdsTruncated).toBe(count > room);
    message.fds.forEach(native.close);
  });

  it("larger than the socket's buffer go as fast as the other side reads, descriptors with the first byte", async () => {
    const total = 4 * 2 ** 20;
    const reader = new Worker(
      `${prelude}
       const { workerData, parentPort } = require("worker_threads");
       const into = new Uint8Array(workerData.total);
       const message = native.receiveMessage(workerData.right, into, 4, 0, 10000, true);
       const ordered = into.every((byte, index) => byte === index % 251);
       message.fds.forEach(native.close);
       parentPort.postMessage({ length: message.length, fds: message.fds.length, ordered });`,
      { eval: true, workerData: { right, total } },
    );
    const told = new Promise((resolve) => reader.once("message", resolve));
    const bytes = new Uint8Array(total).map((_, index) => index % 251);
    const parts = [bytes.subarray(0, 1000), bytes.subarray(1000, 3 * 2 ** 20), bytes.subarray(3 * 2 ** 20)];
    expect(native.sendMessage(left, parts, [left], 10_000)).toBe(total);
    expect(await told).toEqual({ length: total, fds: 1, ordered: true });
    await reader.terminate();
  });

  it("are waited for no longer than told", () => {
    const began = performance.now();
    expect(receive(right, new Uint8Array(1), 0, 20)).toEqual({ ...nothing, length: -linux.ETIMEDOUT });
    expect(native.receiveMessage(right, new Uint8Array(1), 0, 1000, 0, false).length).toBe(-linux.ETIMEDOUT);
    expect(performance.now() - began).toBeGreaterThanOrEqual(20);
    const full = new Uint8Array(2 ** 22);
    expect(native.sendMessage(left, [full], [], 20)).toBe(-linux.ETIMEDOUT);
  });

  it("that come while the receiver spins are received", async () => {
    const echo = new Worker(
      `${prelude}
       const { right } = require("worker_threads").workerData;
       const into = new Uint8Array(4);
       for (let i = 0; i < 500; i++) {
         native.receiveMessage(right, into, 0, 1000, 5000, true);
         native.sendMessage(right, [into], [], 5000);
       }`,
      { eval: true, workerData: { right } },
    );
    const ended = new Promise((resolve) => echo.once("exit", resolve));
    const word = new Uint32Array(1);
    const bytes = new Uint8Array(word.buffer);
    for (let round = 0; round < 500; round++) {
      word[0] = round;
      native.sendMessage(left, [bytes], [], 5000);
      word[0] = 0;
      expect(native.receiveMessage(left, bytes, 0, 1000, 5000, true).length).toBe(4);
      expect(word[0]).toBe(round);
    }
    expect(await ended).toBe(0);
  });

  it("end at the end of the stream", () => {
    native.sendMessage(left, [Buffer.from("abc")], [], 1000);
    native.close(left);
    expect(receive(right, new Uint8Array(8), 0, 1000, true).length).toBe(3);
    expect(receive(right, new Uint8Array(8), 0, 1000, true).length).toBe(0);
    expect(native.sendMessage(right, [Buffer.from("x")], [], 1000)).toBe(-linux.EPIPE);
  });

  it("that come in part before the time is over are not lost", () => {
    native.sendMessage(left, [Buffer.from("abc")], [left], 1000);
    const message = receive(right, new Uint8Array(8), 1, 10, true);
    expect(message.length).toBe(3);
    expect(message.fds).toHaveLength(1);
    message.fds.forEach(native.close);
    expect(receive(right, new Uint8Array(8), 1, 10, true).length).toBe(-linux.ETIMEDOUT);
  });

  it("without a byte carry nothing", () => {
    expect(native.sendMessage(left, [], [], 0)).toBe(0);
    expect(native.sendMessage(left, [new Uint8Array(0)], [left], 0)).toBe(-linux.EINVAL);
  });

  it("tell the kernel's error", () => {
    expect(native.sendMessage(left, [Buffer.from("x")], [1 << 20], 0)).toBe(-linux.EBADF);
    expect(native.sendMessage(-1, [Buffer.from("x")], [], 0)).toBe(-linux.EBADF);
    expect(receive(-1, new Uint8Array(1)).length).toBe(-linux.EBADF);
  });

  const word = Buffer.from("x");
  const cases: [string, () => unknown, string][] = [
    ["parts that are no array", () => native.sendMessage(0, word as never, [], 0), "sendMessage: parts is an object"],
    ["a part that is no view", () => native.sendMessage(0, ["x" as never], [], 0), 'an element of parts is "x"'],
    ["17 parts", () => native.sendMessage(0, Array(17).fill(word) as [], [], 0), "the length of parts is 17; allowed"],
    ["254 descriptors", () => native.sendMessage(0, [word], Array(254).fill(0) as [], 0), "the length of fds is 254"],
    ["a fractional descriptor", () => native.sendMessage(0, [word], [0.5], 0), "an element of fds is 0.5"],
    ["no time-out", () => native.sendMessage(0, [word], [], undefined as never), "timeoutMs is undefined"],
    ["room for no byte", () => receive(0, new Uint8Array(0)), "receiveMessage: the length of into is 0"],
    ["254 received", () => receive(0, word, 254), "maxFds is 254; allowed is an integer from 0 to 253"],
    ["too long a spin", () => native.receiveMessage(0, word, 0, 1001, 0, false), "spinMicroseconds is 1001"],
    ["too long a wait", () => receive(0, word, 0, 60_001), "timeoutMs is 60001"],
    ["no waitAll", () => native.receiveMessage(0, word, 0, 0, 0, 1 as never), "waitAll is 1; allowed is true or false"],
  ];
  it.each(cases)("refuse %s", (_name, call, message) => {
    expect(call).toThrow(message);
  });

  it("survive an array whose getter detaches another part", () => {
    const victim = new Uint8Array(1024);
    const parts = [victim, word];
    Object.defineProperty(parts, 1, {
      get: () => {
        structuredClone(victim.buffer, { transfer: [victim.buffer] });
        return word;
      },
    });
    expect(() => native.sendMessage(left, parts, [], 0)).toThrow("an element of parts is a view of a detached");
  });
});

describe("Unix sockets by path", () => {
  let directory: string;
  beforeAll(() => (directory = mkdtempSync(join(tmpdir(), "native-"))));
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it("connect, accept and talk", () => {
    const path = join(directory, "socket");
    const listener = nonNegative(native.unixListen(path, 1));
    expect(native.unixAccept(listener, 10)).toBe(-linux.ETIMEDOUT);
    const client = nonNegative(native.unixConnect(path));
    const server = nonNegative(native.unixAccept(listener, 1000));
    expect(native.fcntl(client, linux.F_GETFL) & linux.O_NONBLOCK).toBe(0);
    expect([client, server].map((fd) => native.fcntl(fd, linux.F_GETFD))).toEqual([1, 1]);
    native.sendMessage(client, [Buffer.from("hello")], [], 1000);
    expect(receive(server, new Uint8Array(10)).length).toBe(5);
    [client, server, listener].forEach(native.close);
    expect(existsSync(path)).toBe(true);
    expect(native.unixListen(path, 1)).toBe(-linux.EADDRINUSE);
    expect(native.unixConnect(path)).toBe(-linux.ECONNREFUSED);
  });

  it("give -EAGAIN instead of waiting when the backlog is full", () => {
    const path = join(directory, "full");
    const listener = nonNegative(native.unixListen(path, 0));
    const clients: number[] = [];
    let result = 0;
    while (clients.length < 10 && (result = native.unixConnect(path)) >= 0) clients.push(result);
    expect(result).toBe(-linux.EAGAIN);
    [...clients, listener].forEach(native.close);
  });

  it("tell a path that is too long, absent or empty", () => {
    expect(native.unixListen(`/${"x".repeat(107)}`, 1)).toBe(-linux.ENAMETOOLONG);
    expect(native.unixConnect(`/${"x".repeat(107)}`)).toBe(-linux.ENAMETOOLONG);
    expect(native.unixConnect(join(directory, "absent"))).toBe(-linux.ENOENT);
    expect(native.unixListen("", 1)).toBe(-linux.ENOENT);
    expect(() => native.unixConnect("\0abstract")).toThrow("unixConnect: path is");
  });
});
