import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import type { Capabilities } from "../../protocol/capabilities";
import { decodeCapabilities, encodeCapabilities, OWN_CAPABILITIES } from "../../protocol/capabilities";
import { Commands } from "../../protocol/commands";
import * as structs from "../../protocol/structs";
import { MessageSocket } from "../../socket/message-socket";
import type { RawReply } from "../../testing/raw-client";
import { body, messageBytes, RawClient } from "../../testing/raw-client";
import { Scratch, ScratchModel } from "../../testing/scratch-model";

const { dma_map, dma_access, region_access, version } = structs;
const ASKING: Capabilities = { ...OWN_CAPABILITIES, twinSocket: { fdIndex: undefined } };
const SOURCE = 0x1000;
const DESTINATION = 0x3000;

let fdsBefore = 0;
let client: RawClient;
let twin: MessageSocket | undefined;

beforeEach(() => {
  fdsBefore = openDescriptors();
  client = new RawClient(new ScratchModel());
});

afterEach(() => {
  twin?.close();
  twin = undefined;
  client[Symbol.dispose]();
  expect(openDescriptors()).toBe(fdsBefore);
});

function negotiate(capabilities: Capabilities): { reply: RawReply; offered: Capabilities } {
  const reply = client.ask("VERSION", body(version, {}, encodeCapabilities(capabilities)));
  const offered = decodeCapabilities(reply.body.subarray(version.size));
  if (typeof offered === "string") throw new Error(offered);
  return { reply, offered };
}

function connect(): MessageSocket {
  const { reply, offered } = negotiate(ASKING);
  const fd = reply.fds[offered.twinSocket?.fdIndex ?? -1];
  if (fd === undefined) throw new Error("no twin socket");
  twin = new MessageSocket(native.dup(fd));
  for (const address of [SOURCE, DESTINATION])
    client.ask("DMA_MAP", body(dma_map, { argsz: 32, flags: 3, address, size: 4096 }));
  return twin;
}

function registerWrite(offset: number, value: number, width: 4 | 8): Uint8Array {
  const data = new Uint8Array(width);
  new DataView(data.buffer).setUint32(0, value, true);
  return messageBytes(Commands.REGION_WRITE.number, body(region_access, { offset, region: 0, count: width }, data));
}

/** Queues a copy of 8 bytes on the client's own socket, and `answers` on the twin. */
function copy(twinFd: number, answers: readonly Uint8Array[], queued: readonly Uint8Array[] = []): void {
  client.queueBytes(registerWrite(Scratch.source, SOURCE, 8));
  client.queueBytes(registerWrite(Scratch.destination, DESTINATION, 8));
  client.queueBytes(registerWrite(Scratch.size, 8, 8));
  client.queueBytes(registerWrite(Scratch.command, 1, 4));
  for (const bytes of queued) client.queueBytes(bytes);
  for (const answer of answers) native.sendMessage(twinFd, [answer], [], 1000);
  client.work();
}

const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const readReply = (id: number) =>
  messageBytes(Commands.DMA_READ.number, body(dma_access, { address: SOURCE, count: 8 }, data), {
    id,
    flags: structs.TYPE_REPLY,
  });
const writeReply = (id: number) =>
  messageBytes(Commands.DMA_WRITE.number, new Uint8Array(16), { id, flags: structs.TYPE_REPLY });

test("is offered to a client that asks for it, and to no other", () => {
  const { reply, offered } = negotiate(ASKING);
  expect([offered.twinSocket?.fdIndex, reply.fds.length]).toEqual([0, 1]);
  for (const capabilities of [OWN_CAPABILITIES, { ...ASKING, maxMessageFds: 0 }]) {
    client.reconnect();
    const without = negotiate(capabilities);
    expect([without.offered.twinSocket, without.reply.fds.length]).toEqual([undefined, 0]);
  }
});

test("carries the server's requests and their answers", () => {
  const requests = connect();
  copy(requests.fd, [readReply(1), writeReply(2)]);
  expect(requests.next(0, 0)).toBe("message");
  expect([requests.input.command, requests.input.flags]).toEqual([Commands.DMA_READ.number, structs.TYPE_COMMAND]);
  expect(requests.next(0, 0)).toBe("message");
  expect(requests.input.message().slice(16)).toEqual(body(dma_access, { address: DESTINATION, count: 8 }, data));
  for (let i = 0; i < 4; i += 1) expect(client.receive()?.command).toBe(Commands.REGION_WRITE.number);
  expect(client.receive()).toBeUndefined();
});

test("the client's requests are served while an answer is awaited on it", () => {
  const requests = connect();
  // The doorbell comes first, then a question. The answer to DMA_READ 1 follows only once the server has answered it,
  // or never.
  const status = messageBytes(
    Commands.REGION_READ.number,
    body(region_access, { offset: Scratch.status, region: 0, count: 4 }),
    { id: 77 },
  );
  const reset = messageBytes(Commands.DEVICE_RESET.number, new Uint8Array(), { id: 78 });
  copy(requests.fd, [], [status, reset]);
  const replies = Array.from({ length: 6 }, () => client.receive());
  expect(replies[4]).toMatchObject({ id: 77, error: 0 });
  expect([...(replies[4]?.body.subarray(16) ?? [])]).toEqual([1, 0, 0, 0]); // busy
  expect(replies[5]).toMatchObject({ id: 78, error: 0 });
});

test.each([
  ["a request", messageBytes(Commands.DEVICE_RESET.number, new Uint8Array())],
  ["a reply to nothing", readReply(99)],
  ["an impossible size", messageBytes(Commands.DMA_READ.number, new Uint8Array(), { size: 3 })],
])("%s on it ends the connection", (_name, bytes) => {
  const requests = connect();
  copy(requests.fd, [bytes]);
  expect(client.ended).toBe(true);
});

test("a client that closes it is served until the device needs its memory", () => {
  const requests = connect();
  requests.close();
  for (const fd of client.takeReceived()) native.close(fd);
  expect(client.ask("DEVICE_RESET").error).toBe(0);
  copy(-1, []);
  expect(client.ended).toBe(true);
});
