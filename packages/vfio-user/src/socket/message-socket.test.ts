import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { HEADER_SIZE } from "../protocol/limits";
import { MessageBuffer } from "../protocol/message-buffer";
import { MessageSocket } from "./message-socket";

function pair(capacity?: number): { raw: number; socket: MessageSocket } {
  const fds = native.socketpair();
  if (typeof fds === "number") throw new Error("no socket pair");
  return { raw: fds[0], socket: new MessageSocket(fds[1], capacity) };
}

function message(id: number, bodyLength: number): Uint8Array {
  const buffer = new MessageBuffer(HEADER_SIZE + bodyLength);
  buffer.setHeader(id, 9, 0, bodyLength);
  for (let i = 0; i < bodyLength; i += 1) buffer.body.u8[i] = (id + i) & 0xff;
  return buffer.message().slice();
}

/** Descriptors for one message, told apart by the size of their files. */
function files(count: number, tag: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const fd = native.memfdCreate("test", 1);
    native.ftruncate(fd, tag * 100 + i + 1);
    return fd;
  });
}

function sizeOf(fd: number): number {
  const byte = new Uint8Array(1);
  let size = 0;
  while (native.pread(fd, byte, size) === 1) size += 1;
  return size;
}

test("messages arrive whole, in order and with their own descriptors, however they are cut on the way", () => {
  const before = openDescriptors();
  const sent = fc.record({ body: fc.oneof(fc.nat(64), fc.nat(10_000)), fds: fc.constantFrom(0, 0, 0, 1, 3) });
  const cutting = fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 50, max: 30_000 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(
      fc.array(sent, { minLength: 1, maxLength: 12 }),
      cutting,
      fc.integer({ min: 1, max: 8 }),
      (messages, cuts, drainEvery) => {
        const { raw, socket } = pair();
        const arrived: { bytes: Uint8Array; fds: number[] }[] = [];
        const drain = () => {
          while (socket.next(0, 0) === "message") {
            const fds = socket.takeFds() ?? [];
            arrived.push({ bytes: socket.input.message().slice(), fds: fds.map(sizeOf) });
            for (const fd of fds) native.close(fd);
          }
        };
        let sends = 0;
        const send = (bytes: Uint8Array, fds: number[]) => {
          expect(native.sendMessage(raw, [bytes], fds, 1000)).toBe(bytes.length);
          if (++sends % drainEvery === 0) drain();
        };
        // Messages without descriptors may share a send or be cut anywhere. A message with descriptors begins a send.
        let pending: Uint8Array[] = [];
        const flush = () => {
          const bytes = Buffer.concat(pending);
          pending = [];
          for (let at = 0; at < bytes.length;) {
            // A few bytes at a time would only take long for long messages.
            const length = Math.max(cuts[sends % cuts.length] ?? 1, bytes.length >> 5);
            send(bytes.subarray(at, at + length), []);
            at += length;
          }
        };
        messages.forEach(({ body, fds }, id) => {
          if (fds === 0) {
            pending.push(message(id, body));
            return;
          }
          flush();
          const carried = files(fds, id);
          send(message(id, body), carried);
          for (const fd of carried) native.close(fd);
        });
        flush();
        drain();
        expect(arrived).toEqual(
          messages.map(({ body, fds }, id) => ({
            bytes: message(id, body),
            fds: Array.from({ length: fds }, (_, i) => id * 100 + i + 1),
          })),
        );
        native.close(raw);
        expect(socket.next(0, 1000)).toBe("closed");
        socket.close();
      },
    ),
    { numRuns: 60 },
  );
  expect(openDescriptors()).toBe(before);
});

test("half a message is kept until the rest comes", () => {
  const { raw, socket } = pair();
  const whole = message(7, 20);
  native.sendMessage(raw, [whole.subarray(0, 5)], [], 1000);
  expect(socket.next(0, 0)).toBe("timeout");
  expect(socket.buffered).toBe(true);
  native.sendMessage(raw, [whole.subarray(5)], [], 1000);
  expect(socket.next(0, 0)).toBe("message");
  expect(socket.input.id).toBe(7);
  socket.close();
  native.close(raw);
});

test.each([0, 15, 1041, 0xffff_ffff])("a size of %d is malformed when 16 to 1040 are possible", (size) => {
  const { raw, socket } = pair(1040);
  const bytes = message(1, 0);
  new DataView(bytes.buffer).setUint32(4, size, true);
  native.sendMessage(raw, [bytes], [], 1000);
  expect(socket.next(0, 0)).toBe("malformed");
  socket.close();
  native.close(raw);
});

test("too many descriptors differ from none, and all are closed", () => {
  const before = openDescriptors();
  const { raw, socket } = pair();
  const carried = files(17, 0);
  native.sendMessage(raw, [message(1, 0)], carried, 1000);
  expect(socket.next(0, 0)).toBe("message");
  expect(socket.takeFds()).toBeUndefined();
  for (const fd of carried) native.close(fd);
  socket.close();
  native.close(raw);
  expect(openDescriptors()).toBe(before);
});

test("a message that never ends holds no more descriptors than a message may have", () => {
  const before = openDescriptors();
  const { raw, socket } = pair();
  const carried = files(16, 0);
  const whole = message(1, 100);
  for (let at = 0; at < whole.length; at += 1) {
    native.sendMessage(raw, [whole.subarray(at, at + 1)], carried, 1000);
    expect(socket.next(0, 0)).toBe(at < whole.length - 1 ? "timeout" : "message");
    // The message's, the received ones, and two sockets.
    expect(openDescriptors() - before).toBeLessThanOrEqual(16 + 16 + 2);
  }
  expect(socket.takeFds()).toBeUndefined();
  for (const fd of carried) native.close(fd);
  socket.close();
  native.close(raw);
  expect(openDescriptors()).toBe(before);
});

test("untaken descriptors are closed with the next message or the socket", () => {
  const before = openDescriptors();
  const { raw, socket } = pair();
  const carried = files(2, 0);
  for (let i = 0; i < 3; i += 1) native.sendMessage(raw, [message(i, 4)], carried, 1000);
  for (const fd of carried) native.close(fd);
  expect(socket.next(0, 0)).toBe("message");
  expect(socket.next(0, 0)).toBe("message");
  socket.close();
  socket.close();
  expect(socket.next(0, 0)).toBe("closed");
  native.close(raw);
  expect(openDescriptors()).toBe(before);
});

test("a message that comes a byte at a time does not outlast the time-out", async () => {
  const { raw, socket } = pair();
  const bytes = message(1, 2000);
  const drip = new Worker(
    `const { native } = require("@vfio-selftests/native");
     const { workerData: { raw, bytes }, parentPort } = require("node:worker_threads");
     for (const byte of bytes) {
       if (native.sendMessage(raw, [Uint8Array.of(byte)], [], 1000) < 0) break;
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
     }`,
    { eval: true, workerData: { raw, bytes } },
  );
  const began = performance.now();
  const arrivals = new Set<string>();
  do {
    arrivals.add(socket.next(0, 100));
  } while (!arrivals.has("message") && performance.now() - began < 20_000);
  // The bytes take two seconds at least. A wait that began anew with each of them would see the message alone.
  expect(arrivals).toEqual(new Set(["timeout", "message"]));
  expect(socket.input.message()).toEqual(bytes);
  await drip.terminate();
  socket.close();
  native.close(raw);
}, 30_000);
