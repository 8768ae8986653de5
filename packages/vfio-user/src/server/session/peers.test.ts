import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { HEADER_SIZE } from "../../protocol/limits";
import { RawClient } from "../../testing/raw-client";
import type { RecordedMessage } from "../../testing/recorded-stream";
import { bytesOf, recordedStream } from "../../testing/recorded-stream";
import { ScratchModel } from "../../testing/scratch-model";

/** The scratch device with a BAR 1 of which clients may map two pages. */
function peerModel(bar1: number): ScratchModel {
  const model = new ScratchModel();
  const areas = [
    { offset: 0, size: 4096 },
    { offset: 8192, size: 4096 },
  ];
  const region = { size: 0x3000, read: () => 0, write: () => undefined, memory: { fd: bar1, areas } };
  return Object.assign(model, { regions: new Map([...model.regions, [1, region]]) });
}

function file(size: number): number {
  const fd = native.memfdCreate("peers", 0); // as these clients have it: nothing seals it
  native.ftruncate(fd, size);
  return fd;
}

describe.each(["spdk", "rust-vmm", "libvfio-user"] as const)("the client of %s", (name) => {
  const { messages, memory } = recordedStream(name);

  let fdsBefore = 0;
  let bar1 = -1;
  let shared = -1;
  let eventfds: number[] = [];
  let client: RawClient;

  beforeEach(() => {
    fdsBefore = openDescriptors();
    bar1 = file(0x3000);
    shared = file(memory.offset + memory.size + 3 * 4096);
    eventfds = Array.from({ length: 16 }, () => native.eventfd(0, 0));
    client = new RawClient(peerModel(bar1));
  });

  afterEach(() => {
    client[Symbol.dispose]();
    for (const fd of [bar1, shared, ...eventfds]) native.close(fd);
    expect(openDescriptors()).toBe(fdsBefore);
  });

  /** Sends one message and returns the answer in the terms of the recording. */
  function say(message: RecordedMessage): RecordedMessage["reply"] {
    const fds = message.fds?.map((kind, i) => (kind === "memory" ? shared : (eventfds[i] ?? -1))) ?? [];
    client.sendBytes(bytesOf(message), fds);
    const reply = client.receive();
    if (reply === undefined) throw new Error(`no reply to ${message.what}`);
    const header = Buffer.from(bytesOf(message).subarray(0, HEADER_SIZE));
    expect([reply.id, reply.command]).toEqual([header.readUInt16LE(0), header.readUInt16LE(2)]);
    if (reply.error !== 0) return { error: reply.error };
    const bytes = message.reply.bytes === -1 ? -1 : reply.body.length;
    return { bytes, ...(reply.fds.length === 0 ? {} : { fds: reply.fds.length }) };
  }

  test("gets answers that it can read, and nothing unasked", () => {
    for (const [i, message] of messages.entries()) {
      if (i === memory.index) checkDma();
      expect([message.what, say(message)]).toEqual([message.what, message.reply]);
      expect(client.receive()).toBeUndefined();
    }
    if (memory.index >= messages.length) checkDma();
  });

  /** The device reaches the client's memory without a message, and misses what is not mapped. */
  function checkDma(): void {
    const { dma } = client.device;
    const iova = BigInt(memory.address) + 8n;
    const data = Uint8Array.from({ length: 64 }, (_, i) => i + 1);
    dma.allowed = true;
    expect(dma.write(iova, data)).toBeUndefined();
    expect(dma.read(iova + BigInt(memory.size) + 0x10_0000n, data.slice())).toMatchObject({ reason: "unmapped" });
    dma.allowed = false;
    const stored = new Uint8Array(64);
    native.pread(shared, stored, memory.offset + 8);
    expect(stored).toEqual(data);
    expect(client.receive()).toBeUndefined();
  }
});
