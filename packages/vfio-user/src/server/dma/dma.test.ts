import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { OWN_CAPABILITIES } from "../../protocol/capabilities";
import { Commands } from "../../protocol/commands";
import { MAX_DMA_MAPS_TAKEN } from "../../protocol/limits";
import * as structs from "../../protocol/structs";
import type { RawReply } from "../../testing/raw-client";
import { body, messageBytes, RawClient } from "../../testing/raw-client";
import { Scratch, ScratchModel } from "../../testing/scratch-model";
import type { DmaFault } from "../device-model";

const { EFAULT, EINVAL, EPERM, EIO } = constants.errno;
const { dma_map, dma_unmap, dma_access, region_access } = structs;
const REPLY = structs.TYPE_REPLY;
const ERROR = structs.TYPE_REPLY | structs.FLAG_ERROR;

let fdsBefore = 0;
let model: ScratchModel;
let client: RawClient;

beforeEach(() => {
  fdsBefore = openDescriptors();
  model = new ScratchModel();
  client = new RawClient(model).greet();
});

afterEach(() => {
  client[Symbol.dispose]();
  expect(openDescriptors()).toBe(fdsBefore);
});

/** A file of `size` bytes, and this process's own view of it. */
function file(size: number, { sealed = true } = {}) {
  const fd = native.memfdCreate("test", 2);
  native.ftruncate(fd, size);
  if (sealed) native.fcntl(fd, 1033, 2);
  const memory = native.mapMemory({ fd, length: size, flags: 1 });
  if (typeof memory === "number") throw new Error("no memory");
  return {
    fd,
    bytes: new Uint8Array(memory.buffer),
    [Symbol.dispose]: () => {
      memory.unmap();
      native.close(fd);
    },
  };
}

function map(address: number, size: number, fd?: number, { offset = 0, flags = 3 } = {}): void {
  const reply = client.ask("DMA_MAP", body(dma_map, { argsz: 32, flags, offset, address, size }), {
    fds: fd === undefined ? [] : [fd],
  });
  expect(reply.error).toBe(0);
}

/** Runs `use` as if in the model's step. */
function dma<Result>(use: (space: typeof client.device.dma) => Result): Result {
  const space = client.device.dma;
  space.allowed = true;
  try {
    return use(space);
  } finally {
    space.allowed = false;
  }
}

const fault = (iova: bigint, reason: DmaFault["reason"], access: DmaFault["access"]) => ({ iova, reason, access });

describe("memory shared by descriptor", () => {
  test("is read, written and seen directly, across maps", () => {
    using one = file(8192);
    using two = file(8192);
    map(0x10000, 8192, one.fd);
    map(0x12000, 4096, two.fd, { offset: 4096 });
    const data = Uint8Array.from({ length: 6000 }, (_, i) => i * 3);
    expect(dma((space) => space.write(0x11000n, data))).toBeUndefined();
    expect(Buffer.compare(one.bytes.subarray(4096), data.subarray(0, 4096))).toBe(0);
    expect(Buffer.compare(two.bytes.subarray(4096, 4096 + 1904), data.subarray(4096))).toBe(0);
    const back = new Uint8Array(6000);
    expect(dma((space) => space.read(0x11000n, back))).toBeUndefined();
    expect(Buffer.compare(back, data)).toBe(0);
    const view = dma((space) => space.view(0x11000n, 6000, "write"));
    expect(view?.length).toBe(4096); // to the end of the first map
    view?.fill(0x5a);
    expect(one.bytes[8191]).toBe(0x5a);
    expect(client.receive()).toBeUndefined(); // no message was needed
  });

  test("publish makes a record appear, its first 8 bytes last", () => {
    using memory = file(4096);
    map(0, 4096, memory.fd);
    const record = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
    expect(dma((space) => space.publish(64n, record))).toBeUndefined();
    expect([...memory.bytes.subarray(64, 96)]).toEqual([...record]);
    expect(dma((space) => space.publish(128n, record.subarray(0, 8)))).toBeUndefined();
    expect(memory.bytes[128]).toBe(1);
    expect(() => dma((space) => space.publish(4n, record))).toThrow(RangeError);
    expect(() => dma((space) => space.publish(8n, record.subarray(0, 7)))).toThrow(RangeError);
    // When the rest cannot be written, the status does not appear either.
    expect(dma((space) => space.publish(4088n, record))).toEqual(fault(4096n, "unmapped", "write"));
    expect(memory.bytes[4088]).toBe(0);
  });

  test("one file is mapped once, however many maps use it, and unmapped with the last one", () => {
    const mappings = () => readFileSync("/proc/self/maps", "utf8").split("memfd:test").length - 1;
    using memory = file(64 * 4096);
    const own = mappings();
    for (let page = 0; page < 64; page += 1) map(page * 8192, 4096, memory.fd, { offset: page * 4096 });
    expect(mappings()).toBe(own); // not before its first use
    for (let page = 0n; page < 64n; page += 1n) dma((space) => space.write(8192n * page, Uint8Array.of(7)));
    expect(mappings()).toBe(own + 1);
    expect(memory.bytes[63 * 4096]).toBe(7);
    client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, address: 0, size: 62 * 8192 }));
    expect(mappings()).toBe(own + 1);
    client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, address: 62 * 8192, size: 2 * 8192 }));
    expect(mappings()).toBe(own);
  });

  test("memory is what its flags say, and a fault says where and why", () => {
    using memory = file(3 * 4096);
    map(0x1000, 4096, memory.fd, { flags: 1 });
    map(0x2000, 4096, memory.fd, { flags: 2, offset: 4096 });
    const page = new Uint8Array(4096);
    expect(dma((space) => space.read(0x1000n, page))).toBeUndefined();
    expect(dma((space) => space.write(0x1000n, page))).toEqual(fault(0x1000n, "protection", "write"));
    expect(dma((space) => space.read(0x2000n, page))).toEqual(fault(0x2000n, "protection", "read"));
    expect(dma((space) => space.read(0x1f00n, page))).toEqual(fault(0x2000n, "protection", "read"));
    expect(dma((space) => space.write(0x2f00n, page))).toEqual(fault(0x3000n, "unmapped", "write"));
    expect(dma((space) => space.view(0x1000n, 8, "write"))).toBeUndefined();
    expect(dma((space) => space.view(0x9000n, 8, "read"))).toBeUndefined();
    expect(dma((space) => space.read(2n ** 64n - 4n, page))).toEqual(fault(2n ** 64n - 4n, "unmapped", "read"));
  });

  test("is one view across maps whose memory lies side by side, until one of them goes", () => {
    using memory = file(4 * 4096);
    for (let page = 0; page < 3; page += 1) map(page * 4096, 4096, memory.fd, { offset: page * 4096 });
    map(3 * 4096, 4096, memory.fd, { offset: 0 });
    const length = (iova: bigint) => dma((space) => space.view(iova, 1 << 20, "read"))?.length;
    expect(length(0n)).toBe(3 * 4096);
    expect(length(3n * 4096n)).toBe(4096);
    expect(length(4097n)).toBe(2 * 4096 - 1);
    client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, address: 4096, size: 4096 }));
    expect([4096n, 0n, 8192n].map(length)).toEqual([undefined, 4096, 4096]);
  });

  test("is one view with a map that comes later beside it", () => {
    using memory = file(2 * 4096);
    const length = () => dma((space) => space.view(0n, 1 << 20, "read"))?.length;
    map(0, 4096, memory.fd);
    expect(length()).toBe(4096);
    map(4096, 4096, memory.fd, { offset: 4096 });
    expect(length()).toBe(2 * 4096);
  });

  test("is gone after the unmap", () => {
    using memory = file(4096);
    map(0, 4096, memory.fd);
    expect(dma((space) => space.view(0n, 8, "read"))?.length).toBe(8);
    client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, address: 0, size: 4096 }));
    expect(dma((space) => space.view(0n, 8, "read"))).toBeUndefined();
  });
});

test("the server takes as many maps as its limit, and no more", () => {
  const { maps } = client.device;
  let refused = 0;
  for (let i = 0; i < MAX_DMA_MAPS_TAKEN; i += 1)
    if (maps.map(BigInt(i) * 8192n, 4096n, 3, 0n, undefined) !== 0) refused += 1;
  expect(refused).toBe(0);
  expect(maps.map(2n ** 40n, 4096n, 3, 0n, undefined)).toBe(constants.errno.ENOSPC);
  expect(maps.unmap(0n, 2n ** 40n)).toBe(0);
  expect(maps.size).toBe(0);
});

test("as many separate maps are found fast, in any order", () => {
  const { maps } = client.device;
  const count = 200_000;
  for (let i = 0; i < count; i += 1) maps.map(BigInt(i) * 8192n, 4096n, 3, 0n, undefined);
  const start = performance.now();
  // From both ends, like a copy: half of the remembered maps go before the rest.
  for (let i = 0; i < count; i += 1) {
    const page = i % 2 === 0 ? i : count - i;
    if (maps.run(BigInt(page) * 8192n)?.size !== 4096) throw new Error(`page ${page}`);
  }
  expect(performance.now() - start).toBeLessThan(4000);
  maps.clear();
});

test("DMA outside of step is a defect of the model", () => {
  expect(() => client.device.dma.read(0n, new Uint8Array(1))).toThrow(/step/);
  expect(() => client.device.dma.view(0n, 1, "read")).toThrow(/step/);
});

describe("the client hears of faults", () => {
  const next = (): { reply: RawReply; address: bigint; count: bigint } | undefined => {
    const reply = client.receive();
    if (reply === undefined) return undefined;
    const view = new DataView(reply.body.buffer);
    return { reply, address: view.getBigUint64(0, true), count: view.getBigUint64(8, true) };
  };

  test("by a small read of the address, without waiting", () => {
    dma((space) => space.read(0x7000n, new Uint8Array(64)));
    dma((space) => space.write(0x8000n, new Uint8Array(64)));
    const first = next();
    expect(first).toMatchObject({
      reply: { command: Commands.DMA_READ.number, flags: 0 },
      address: 0x7000n,
      count: 1n,
    });
    expect(next()).toMatchObject({ reply: { command: Commands.DMA_READ.number }, address: 0x8000n, count: 1n });
    // The answer disturbs nothing, whenever it comes.
    client.sendBytes(
      messageBytes(Commands.DMA_READ.number, new Uint8Array(), {
        id: first?.reply.id ?? 0,
        flags: ERROR,
        error: EFAULT,
      }),
    );
    expect(client.ended).toBe(false);
  });

  test("by a write of a zero where only reading is allowed", () => {
    map(0x1000, 4096, undefined, { flags: 1 });
    dma((space) => space.write(0x1008n, Uint8Array.of(9)));
    expect(next()).toMatchObject({ reply: { command: Commands.DMA_WRITE.number }, address: 0x1008n, count: 1n });
  });

  test("only if it is QEMU: others would take the report for the reply that they await", () => {
    for (const capabilities of [
      { ...OWN_CAPABILITIES, writeMultiple: false },
      { ...OWN_CAPABILITIES, twinSocket: { fdIndex: undefined } },
    ]) {
      client.reconnect().greet(capabilities);
      dma((space) => space.read(0x7000n, new Uint8Array(64)));
      expect(client.receive()).toBeUndefined();
    }
  });

  test("but only 16 without an answer", () => {
    for (let i = 0; i < 100; i += 1) dma((space) => space.read(0x7000n, new Uint8Array(1)));
    let heard = 0;
    while (client.receive() !== undefined) heard += 1;
    expect(heard).toBe(16);
  });
});

describe("memory by message", () => {
  const SOURCE = 0x1000;
  const DESTINATION = 0x3000;

  function writeRegister(offset: number, value: number, width: 4 | 8 = 8): Uint8Array {
    const data = new Uint8Array(width);
    new DataView(data.buffer).setUint32(0, value, true);
    return messageBytes(Commands.REGION_WRITE.number, body(region_access, { offset, region: 0, count: width }, data));
  }

  /**
   * Starts a copy. The queued messages meet the server in the middle of it. Message 1 asks for the layout, 2 reads, 3
   * writes.
   */
  function copy(size: number, answers: readonly Uint8Array[]): void {
    map(SOURCE, 4096);
    map(DESTINATION, 4096);
    client.sendBytes(writeRegister(Scratch.source, SOURCE));
    client.sendBytes(writeRegister(Scratch.destination, DESTINATION));
    client.sendBytes(writeRegister(Scratch.size, size));
    for (let i = 0; i < 3; i += 1) client.receive();
    client.queueBytes(writeRegister(Scratch.command, 1, 4));
    for (const answer of answers) client.queueBytes(answer);
    client.work();
  }

  const readReply = (id: number, content: Uint8Array) =>
    messageBytes(Commands.DMA_READ.number, content, { id, flags: REPLY });
  const writeReply = (id: number, content: Uint8Array = new Uint8Array(16)) =>
    messageBytes(Commands.DMA_WRITE.number, content, { id, flags: REPLY });
  const refusal = (id: number, error: number, command = Commands.DMA_READ.number) =>
    messageBytes(command, new Uint8Array(), { id, flags: ERROR, error });
  const register = (offset: number): number => {
    const reply = client.ask("REGION_READ", body(region_access, { offset, region: 0, count: 4 }));
    return new DataView(reply.body.buffer).getUint32(16, true);
  };

  test("in the specification's layout, if QEMU shows that: 64-bit count, data behind it", () => {
    const data = Uint8Array.of(0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7);
    copy(8, [
      refusal(1, EINVAL), // 2^32 bytes are too many: a 64-bit count
      readReply(2, body(dma_access, { address: SOURCE, count: 8 }, data)),
      writeReply(3),
    ]);
    client.receive(); // the doorbell's reply
    const question = client.receive();
    expect(question?.body).toEqual(body(dma_access, { address: 0, count: 2n ** 32n }));
    expect(client.receive()?.body).toEqual(body(dma_access, { address: SOURCE, count: 8 }));
    const write = client.receive();
    expect(write?.command).toBe(Commands.DMA_WRITE.number);
    expect(write?.body).toEqual(body(dma_access, { address: DESTINATION, count: 8 }, data));
    expect(register(Scratch.status)).toBe(2);
  });

  test("the server asks only QEMU for its layout; others have the specification's", () => {
    client.reconnect().greet({ ...OWN_CAPABILITIES, writeMultiple: false });
    copy(8, [readReply(1, body(dma_access, { address: SOURCE, count: 8 }, new Uint8Array(8))), writeReply(2)]);
    client.receive(); // the doorbell's reply
    expect(client.receive()?.body).toEqual(body(dma_access, { address: SOURCE, count: 8 }));
    expect(client.receive()?.command).toBe(Commands.DMA_WRITE.number);
    expect(register(Scratch.status)).toBe(2);
  });

  test("in QEMU's layout: 32-bit count, data behind it, 4 bytes of padding at the end", () => {
    const data = Uint8Array.of(0, 0, 0, 0, 0xd4, 0xd5, 0xd6, 0xd7);
    const padding = new Uint8Array(4);
    copy(8, [
      readReply(1, body(structs.dma_access_qemu, { address: 0, count: 0 }, padding)), // sees a count of 0 and agrees
      readReply(2, body(structs.dma_access_qemu, { address: SOURCE, count: 8 }, Buffer.concat([data, padding]))),
      writeReply(3, new Uint8Array()), // QEMU answers with the header alone
    ]);
    for (let i = 0; i < 3; i += 1) client.receive();
    const write = client.receive();
    expect(write?.body).toEqual(
      body(structs.dma_access_qemu, { address: DESTINATION, count: 8 }, Buffer.concat([data, padding])),
    );
    expect(register(Scratch.status)).toBe(2);
  });

  test("requests are served while an answer is awaited", () => {
    const status = messageBytes(
      Commands.REGION_READ.number,
      body(region_access, { offset: Scratch.status, region: 0, count: 4 }),
      { id: 77 },
    );
    copy(8, [
      refusal(1, EINVAL),
      status,
      messageBytes(Commands.DMA_MAP.number, body(dma_map, { argsz: 32, flags: 3, address: 0x9000, size: 4096 }), {
        id: 78,
      }),
      readReply(2, body(dma_access, { address: SOURCE, count: 8 }, new Uint8Array(8))),
      writeReply(3),
    ]);
    const replies = Array.from({ length: 6 }, () => client.receive());
    const served = replies.find((reply) => reply?.id === 77);
    expect([...(served?.body.subarray(16) ?? [])]).toEqual([1, 0, 0, 0]); // busy
    expect(replies.some((reply) => reply?.id === 78 && reply.error === 0)).toBe(true);
    expect(register(Scratch.status)).toBe(2);
  });

  test.each([
    ["unmapped", EFAULT, 1],
    ["protected", EPERM, 2],
    ["in trouble otherwise", EIO, 4],
    ["saying nothing", 0, 4],
  ])("an address that the client calls %s is a fault", (_name, errno, reason) => {
    copy(8, [refusal(1, EINVAL), refusal(2, errno)]);
    while (client.receive() !== undefined);
    expect([register(Scratch.status), register(Scratch.faultReason), register(Scratch.faultAddress)]).toEqual([
      3,
      reason,
      SOURCE,
    ]);
  });

  test("an answer of the wrong size ends the connection", () => {
    copy(8, [refusal(1, EINVAL), readReply(2, body(dma_access, { address: SOURCE, count: 8 }, new Uint8Array(7)))]);
    expect(client.ended).toBe(true);
  });

  test("a reset in the middle ends the operation; the late answer disturbs nothing", () => {
    const reset = messageBytes(Commands.DEVICE_RESET.number, new Uint8Array(), { id: 79 });
    copy(8, [refusal(1, EINVAL), reset]);
    while (client.receive() !== undefined);
    expect([register(Scratch.status), register(Scratch.resets)]).toEqual([0, 1]);
    client.sendBytes(readReply(2, body(dma_access, { address: SOURCE, count: 8 }, new Uint8Array(8))));
    expect(client.ended).toBe(false);
    expect(register(Scratch.status)).toBe(0);
  });

  test("after a client that vanishes in the middle, the server serves the next one", () => {
    map(SOURCE, 4096);
    client.sendBytes(writeRegister(Scratch.source, SOURCE));
    client.sendBytes(writeRegister(Scratch.size, 8));
    client.queueBytes(writeRegister(Scratch.command, 1, 4));
    client.vanish();
    client.work();
    expect(client.ended).toBe(true);
    client.reconnect().greet();
    expect(client.device.maps.size).toBe(0);
    expect(model.clientsGone).toBe(1);
    expect(register(Scratch.size)).toBe(8);
  });
});
