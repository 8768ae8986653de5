import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { DmaMemory } from "@vfio-selftests/core";
import { openDescriptors, thrownBy } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { OWN_CAPABILITIES } from "../protocol/capabilities";
import { Commands } from "../protocol/commands";
import { HEADER_SIZE } from "../protocol/limits";
import * as structs from "../protocol/structs";
import { MessageSocket } from "../socket/message-socket";
import { body, messageBytes } from "../testing/raw-client";
import { bar0, greeting, info, reply, ScriptedServer } from "../testing/scripted-server";
import { VfioUserBackend } from "./vfio-user-backend";
import type { VfioUserDevice } from "./vfio-user-device";

const { dma_access, region_access } = structs;

let fdsBefore = 0;
let server: ScriptedServer;
let backend: VfioUserBackend;
/** The server's end of the twin. */
let twin: MessageSocket;

beforeEach(() => {
  fdsBefore = openDescriptors();
});

afterEach(async () => {
  backend.close();
  server.close();
  twin.close();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(openDescriptors()).toBe(fdsBefore);
});

function open(says: readonly Uint8Array[], { fdIndex = 0, fds = 1 } = {}): VfioUserDevice {
  const pair = native.socketpair();
  if (typeof pair === "number") throw new Error("no socket pair");
  twin = new MessageSocket(pair[0]);
  server = new ScriptedServer();
  const sent = fds === 0 ? [] : [...Array<number>(fds - 1).fill(0), pair[1]];
  server.say(greeting({ ...OWN_CAPABILITIES, twinSocket: { fdIndex } }), sent);
  native.close(pair[1]);
  for (const bytes of says) server.say(bytes);
  backend = new VfioUserBackend({
    connectModel: () => ({ fd: server.clientFd }),
    timeoutMs: 200,
    startTimeoutMs: 200,
  });
  return backend.openDevice("model:scripted");
}

const ask = (id: number, address: number, count: number) =>
  native.sendMessage(
    twin.fd,
    [messageBytes(Commands.DMA_READ.number, body(dma_access, { address, count }), { id })],
    [],
    1000,
  );

function heard(): { id: number; error: number; data: number[] } | undefined {
  if (twin.next(0, 0) !== "message") return undefined;
  const { id, error } = twin.input;
  return { id, error, data: [...twin.input.message().subarray(HEADER_SIZE + dma_access.size)] };
}

function mapMemory(): DmaMemory {
  const memory = DmaMemory.allocate(4096);
  new Uint8Array(memory.buffer).set([1, 2, 3, 4]);
  backend.map(memory, 0, 4096, 0n, "read-write");
  return memory;
}

test("the client asks for it, and takes the one at the index that the server names", () => {
  open([info()], { fdIndex: 2, fds: 3 });
  const hello = server.hear();
  expect(Buffer.from(hello?.bytes ?? []).toString()).toContain('"twin_socket":{"supported":true}');
  expect(ask(1, 0x5000, 4)).toBeGreaterThan(0); // the other end is open
});

test.each([
  ["no descriptor came", { fds: 0 }],
  ["the index is of none", { fdIndex: 1 }],
])("a server that offers one is refused when %s", (_name, options) => {
  expect(thrownBy(() => open([info()], options))).toMatchObject({ code: "EPROTO" });
});

test("the client answers the server's requests on it while it awaits a reply", () => {
  const device = open([info(), bar0()]);
  device.regionInfo(0);
  server.say(reply(3, "DMA_MAP"));
  using _memory = mapMemory();
  ask(7, 1, 2);
  ask(8, 0x9000, 2);
  // No reply comes to the read. It gives up, and has served the twin meanwhile.
  expect(thrownBy(() => device.readRegion(0, 0, new Uint8Array(4))).code).toBe("ETIMEDOUT");
  expect([heard(), heard()]).toEqual([
    { id: 7, error: 0, data: [2, 3] },
    { id: 8, error: 14, data: [] },
  ]);
  server.say(reply(5, "REGION_READ", body(region_access, { region: 0, count: 4 }, Uint8Array.of(9, 9, 9, 9))));
  const into = new Uint8Array(4);
  device.readRegion(0, 0, into);
  expect([...into]).toEqual([9, 9, 9, 9]);
});

test("immediate replies do not keep the server's requests waiting", () => {
  const device = open([info(), bar0(), reply(3, "DMA_MAP")]);
  device.regionInfo(0);
  using _memory = mapMemory();
  ask(7, 0, 1);
  for (let id = 4; id < 24; id += 1)
    server.say(reply(id, "REGION_READ", body(region_access, { region: 0, count: 4 }, new Uint8Array(4))));
  for (let i = 0; i < 20; i += 1) device.readRegion(0, 0, new Uint8Array(4));
  expect(heard()).toEqual({ id: 7, error: 0, data: [1] });
});

test("the client answers the server's requests on it when the program says so, or is in its event loop", async () => {
  const device = open([info(), reply(2, "DMA_MAP")]);
  using _memory = mapMemory();
  ask(1, 0, 1);
  device.serveMemory();
  expect(heard()).toEqual({ id: 1, error: 0, data: [1] });
  using _pump = device.pumpMemory();
  ask(2, 1, 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(heard()).toEqual({ id: 2, error: 0, data: [2] });
});

test("the client sends nothing more to a server that breaks the protocol on it", () => {
  const device = open([info()]);
  native.sendMessage(twin.fd, [reply(3, "DMA_READ")], [], 1000);
  expect(thrownBy(() => device.serveMemory()).code).toBe("EPROTO");
  expect(thrownBy(() => device.reset()).code).toBe("EPROTO");
});

test("endless requests of the server do not outlast the time-out", async () => {
  const device = open([info(), bar0()]);
  device.regionInfo(0);
  const request = messageBytes(Commands.DMA_READ.number, body(dma_access, { count: 1 }), {
    flags: structs.FLAG_NO_REPLY,
  });
  const flood = new Worker(
    `const { native } = require("@vfio-selftests/native");
     const { workerData: { fd, bytes }, parentPort } = require("node:worker_threads");
     parentPort.postMessage("floods");
     while (native.sendMessage(fd, [bytes], [], 1000) > 0);`,
    { eval: true, workerData: { fd: twin.fd, bytes: Buffer.concat(Array<Uint8Array>(100).fill(request)) } },
  );
  await once(flood, "message");
  const began = performance.now();
  const { code } = thrownBy(() => device.readRegion(0, 0, new Uint8Array(4)));
  expect(code).toBe("ETIMEDOUT");
  expect(performance.now() - began).toBeLessThan(1500);
  device.serveMemory(); // returns
  backend.close();
  await flood.terminate();
}, 15_000);
