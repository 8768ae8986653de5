import { constants } from "node:os";
import fc from "fast-check";
import { DmaMemory, VfioError } from "@vfio-selftests/core";
import { DeviceMigration, DmaLog } from "@vfio-selftests/core/migration";
import { openDescriptors, thrownBy } from "@vfio-selftests/core/testing";
import { VFIO_DEVICE_STATE_RESUMING } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { OWN_CAPABILITIES } from "../protocol/capabilities";
import { Commands } from "../protocol/commands";
import { HEADER_SIZE } from "../protocol/limits";
import * as structs from "../protocol/structs";
import { body, messageBytes } from "../testing/raw-client";
import { bar0, greeting, info, reply, ScriptedServer } from "../testing/scripted-server";
import { VfioUserBackend } from "./vfio-user-backend";
import type { VfioUserDevice } from "./vfio-user-device";

const { EINVAL, EFAULT, EPERM, ENOSYS } = constants.errno;
const TIMEOUT = 50;

let fdsBefore = 0;
let server: ScriptedServer;
let backend: VfioUserBackend;

beforeEach(() => {
  fdsBefore = openDescriptors();
});

afterEach(async () => {
  backend.close();
  server.close();
  await new Promise((resolve) => setTimeout(resolve, 5)); // a poller closes its descriptor from the event loop
  expect(openDescriptors()).toBe(fdsBefore);
});

/** Opens the device of a server that says `says`. */
function open(...says: Uint8Array[]): VfioUserDevice {
  server = new ScriptedServer(...says);
  backend = new VfioUserBackend({
    connectModel: () => ({ fd: server.clientFd, failure: () => "it was only a test" }),
    timeoutMs: TIMEOUT,
    startTimeoutMs: TIMEOUT,
  });
  return backend.openDevice("model:scripted");
}

const readReply = (id: number, data: Uint8Array, count = data.length) =>
  reply(id, "REGION_READ", body(structs.region_access, { offset: 0, region: 0, count }, data));
const word = () => new Uint8Array(4);

test("a proper server is understood", () => {
  const device = open(greeting(), info(), bar0(), readReply(3, Uint8Array.of(1, 2, 3, 4)));
  const into = word();
  device.readRegion(0, 0, into);
  expect([...into]).toEqual([1, 2, 3, 4]);
  expect(server.hear()?.command).toBe(Commands.VERSION.number);
});

describe("a handshake fails", () => {
  test.each([
    ["with another version", reply(0, "VERSION", body(structs.version, { major: 1 })), "EPROTO", /version 1\.0/],
    ["with a higher minor version", reply(0, "VERSION", body(structs.version, { minor: 1 })), "EPROTO", /version 0\.1/],
    ["with bad JSON", reply(0, "VERSION", body(structs.version, {}, Uint8Array.of(1, 0))), "EPROTO", /capabilities/],
    ["with an error", reply(0, "VERSION", new Uint8Array(), EINVAL), "EINVAL", /VFIO_USER_VERSION/],
    ["with nothing", new Uint8Array(), "ETIMEDOUT", /one client at a time/],
    ["with garbage", new Uint8Array(40).fill(0xff), "EPROTO", /4294967295 bytes/],
  ])("%s", (_name, says, code, message) => {
    const error = thrownBy(() => open(says));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test("with a server that has gone: the reason, if somebody knows it", () => {
    server = new ScriptedServer();
    server.close();
    backend = new VfioUserBackend({ connectModel: () => ({ fd: server.clientFd, failure: () => "no such model" }) });
    const error = thrownBy(() => backend.openDevice("model:x"));
    expect(error.message).toMatch(/has gone: no such model/);
    expect(["EPIPE", "ECONNRESET"]).toContain(error.code);
  });
});

test("an error reply is an error with its errno", () => {
  const device = open(
    greeting(),
    info(),
    bar0(),
    reply(3, "REGION_READ", new Uint8Array(), EFAULT),
    reply(4, "DEVICE_RESET", new Uint8Array(), 0x7fff),
  );
  expect(thrownBy(() => device.readRegion(0, 0, word()))).toMatchObject({
    code: "EFAULT",
    errno: EFAULT,
    operation: "VFIO_USER_REGION_READ",
    subject: "model:scripted, region 0",
  });
  expect(thrownBy(() => device.reset()).errno).toBe(0x7fff);
});

test.each([
  ["for another message", readReply(9, word()), "EPROTO"],
  [
    "for another command",
    messageBytes(Commands.DEVICE_RESET.number, new Uint8Array(), { id: 3, flags: structs.TYPE_REPLY }),
    "EPROTO",
  ],
  ["too short", readReply(3, new Uint8Array(3), 4), "EPROTO"],
  ["with fewer bytes than asked for", readReply(3, new Uint8Array(3)), "EIO"],
  ["with more bytes than asked for", readReply(3, new Uint8Array(5)), "EIO"],
  ["with an impossible type", messageBytes(9, word(), { id: 3, flags: 7 }), "EPROTO"],
  ["that is no message", new Uint8Array(16), "EPROTO"],
  ["that never comes", new Uint8Array(), "ETIMEDOUT"],
])("a reply %s", (_name, says, code) => {
  const device = open(greeting(), info(), bar0(), says);
  const error = thrownBy(() => device.readRegion(0, 0, word()));
  expect(error.code).toBe(code);
  // In every case, calls from now on give an answer or an error, and closing works.
  if (code === "EPROTO") expect(thrownBy(() => device.reset()).code).toBe("EPROTO");
});

test("a late reply is not taken for the next one", () => {
  const device = open(greeting(), info(), bar0());
  expect(thrownBy(() => device.readRegion(0, 0, word())).code).toBe("ETIMEDOUT");
  server.say(readReply(3, Uint8Array.of(1, 1, 1, 1)));
  server.say(readReply(4, Uint8Array.of(2, 2, 2, 2)));
  const into = word();
  device.readRegion(0, 0, into);
  expect([...into]).toEqual([2, 2, 2, 2]);
});

test("the client notices that a server goes", () => {
  const device = open(greeting(), info(), bar0());
  server.close();
  expect(thrownBy(() => device.readRegion(0, 0, word())).message).toMatch(/has gone: it was only a test/);
});

test("unasked descriptors are closed", () => {
  const device = open(greeting(), info());
  server.say(bar0(), [0, 0, 0]);
  expect(device.regionInfo(0).size).toBe(4096);
});

describe("region information", () => {
  const sparse = (count: number, areas: readonly (readonly [number, number])[]) => {
    const bytes = new Uint8Array(16 + areas.length * 16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 1, true);
    view.setUint16(2, 1, true);
    view.setUint32(8, count, true);
    areas.forEach(([offset, size], i) => {
      view.setBigUint64(16 + i * 16, BigInt(offset), true);
      view.setBigUint64(24 + i * 16, BigInt(size), true);
    });
    return bytes;
  };
  const region = (chain: Uint8Array, size = 16384) =>
    reply(
      2,
      "DEVICE_GET_REGION_INFO",
      body(structs.region_info, { argsz: 32 + chain.length, flags: 15, cap_offset: 32, size }, chain),
    );

  test("a region is mapped where the server says, through its descriptor", () => {
    const fd = native.memfdCreate("bar", 0);
    native.ftruncate(fd, 16384);
    native.pwrite(fd, Uint8Array.of(0x78, 0x56, 0x34, 0x12), 8192);
    const device = open(greeting(), info());
    server.say(
      region(
        sparse(2, [
          [8192, 4096],
          [12288, 4096],
        ]),
      ),
      [fd],
    );
    native.close(fd);
    expect(device.regionInfo(0).mappableAreas).toEqual([
      { offset: 8192, size: 4096 },
      { offset: 12288, size: 4096 },
    ]);
    const mapping = device.mapRegion(0, { offset: 8192, size: 4096 });
    expect(mapping.read32(0)).toBe(0x12345678);
    expect(thrownBy(() => device.mapRegion(0, { offset: 0, size: 4096 })).message).toMatch(/0x2000 \+ 0x1000/);
    device.close();
    expect(mapping.closed).toBe(true);
  });

  test("a region whose file is shorter than it says gives EFAULT, not a crash", () => {
    const fd = native.memfdCreate("bar", 0);
    native.ftruncate(fd, 4096);
    const device = open(greeting(), info());
    server.say(reply(2, "DEVICE_GET_REGION_INFO", body(structs.region_info, { argsz: 32, flags: 7, size: 16384 })), [
      fd,
    ]);
    native.close(fd);
    const mapping = device.mapRegion(0, { offset: 0, size: 16384 });
    expect(mapping.read32(0)).toBe(0);
    expect(thrownBy(() => mapping.read32(8192)).code).toBe("EFAULT");
  });

  test.each([
    ["more areas than there are", sparse(1000, [[0, 4096]])],
    ["2^32 - 1 areas", sparse(0xffff_ffff, [[0, 4096]])],
    [
      "a capability that goes on where it began",
      (() => {
        const bytes = sparse(0, []);
        new DataView(bytes.buffer).setUint32(4, 32, true);
        return bytes;
      })(),
    ],
    [
      "a capability behind the end",
      (() => {
        const bytes = sparse(0, []);
        new DataView(bytes.buffer).setUint32(4, 4000, true);
        return bytes;
      })(),
    ],
  ])("%s: the chain is refused", (_name, chain) => {
    const device = open(greeting(), info(), region(chain));
    expect(thrownBy(() => device.regionInfo(0)).code).toBe("EPROTO");
  });

  test("areas outside the region are left out", () => {
    const device = open(
      greeting(),
      info(),
      region(
        sparse(2, [
          [16384, 4096],
          [0, 4096],
        ]),
      ),
    );
    expect(device.regionInfo(0).mappableAreas).toEqual([{ offset: 0, size: 4096 }]);
  });

  test("the client asks again for a longer chain than expected", () => {
    const many = sparse(
      60,
      Array.from({ length: 60 }, (_, i) => [i * 4096, 4096] as const),
    );
    const size = 60 * 4096;
    const device = open(
      greeting(),
      info(),
      reply(2, "DEVICE_GET_REGION_INFO", body(structs.region_info, { argsz: 32 + many.length, flags: 15, size })),
      reply(
        3,
        "DEVICE_GET_REGION_INFO",
        body(structs.region_info, { argsz: 32 + many.length, flags: 15, cap_offset: 32, size }, many),
      ),
    );
    expect(device.regionInfo(0).mappableAreas.length).toBe(60);
  });
});

describe("the server asks for memory while it is waited for", () => {
  const dmaRead = (id: number, address: bigint, count: bigint | number) =>
    messageBytes(Commands.DMA_READ.number, body(structs.dma_access, { address, count }), { id });
  const dmaWrite = (id: number, address: bigint, data: Uint8Array) =>
    messageBytes(Commands.DMA_WRITE.number, body(structs.dma_access, { address, count: data.length }, data), { id });

  test("and gets mapped memory, and errors for the rest", () => {
    const device = open(greeting(), info(), reply(2, "DMA_MAP"), reply(3, "DMA_MAP"));
    using memory = DmaMemory.allocate(8192);
    const bytes = new Uint8Array(memory.buffer);
    bytes.set([1, 2, 3, 4], 4096);
    backend.map(memory, 4096, 4096, 0x1000n, "read-write");
    backend.map(memory, 0, 4096, 0x2000n, "read");
    server.say(dmaRead(100, 0x1000n, 4));
    server.say(dmaWrite(101, 0x1ffen, Uint8Array.of(8, 9)));
    server.say(dmaRead(102, 0x1ffen, 4)); // across both maps
    server.say(dmaRead(103, 0x2ffen, 4)); // beyond the second
    server.say(dmaWrite(104, 0x2000n, Uint8Array.of(1)));
    server.say(dmaRead(105, 0x1000n, 2n ** 32n));
    server.say(messageBytes(Commands.DMA_READ.number, new Uint8Array(3), { id: 106 }));
    server.say(messageBytes(Commands.DEVICE_RESET.number, new Uint8Array(), { id: 107 }));
    const posted = body(structs.dma_access, { address: 0x1004, count: 1 }, Uint8Array.of(5));
    server.say(messageBytes(Commands.DMA_WRITE.number, posted, { id: 108, flags: structs.FLAG_NO_REPLY }));
    server.say(reply(4, "DEVICE_RESET"));
    device.reset();
    const heard = [];
    for (let message = server.hear(); message !== undefined; message = server.hear()) {
      if (message.id >= 100) heard.push([message.id, message.error, ...message.bytes.subarray(HEADER_SIZE + 16)]);
    }
    expect(heard).toEqual([
      [100, 0, 1, 2, 3, 4],
      [101, 0],
      [102, 0, 8, 9, 0, 0],
      [103, EFAULT],
      [104, EPERM],
      [105, EINVAL],
      [106, EINVAL],
      [107, ENOSYS],
    ]);
    expect([bytes[4100], bytes[8190], bytes[8191]]).toEqual([5, 8, 9]);
  });

  test("and gets an answer without a wait when the program says so, or is in its event loop", async () => {
    const device = open(greeting(), info(), reply(2, "DMA_MAP"));
    using memory = DmaMemory.allocate(4096);
    backend.map(memory, 0, 4096, 0n, "read");
    for (let i = 0; i < 3; i += 1) server.hear();
    server.say(dmaRead(100, 0n, 1));
    device.serveMemory();
    expect(server.hear()?.id).toBe(100);
    using _pump = device.pumpMemory();
    for (const id of [101, 102]) {
      server.say(dmaRead(id, 0n, 1));
      let heard;
      while ((heard = server.hear()) === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
      expect(heard.id).toBe(id);
    }
  });
});

test("garbage in any form is an error, never a crash or a hang", () => {
  server = new ScriptedServer();
  native.close(server.clientFd);
  backend = new VfioUserBackend();
  const garbage = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 100 }),
    fc
      .tuple(fc.uint8Array({ maxLength: 60 }), fc.nat(20), fc.nat(5), fc.nat(0x33))
      .map(([content, command, id, flags]) => messageBytes(command, content, { id, flags })),
  );
  fc.assert(
    fc.property(fc.array(garbage, { maxLength: 4 }), fc.nat(3), (pieces, after) => {
      using odd = new ScriptedServer(...[greeting(), info(), bar0()].slice(0, after), ...pieces);
      const space = new VfioUserBackend({
        connectModel: () => ({ fd: odd.clientFd }),
        timeoutMs: 1,
        startTimeoutMs: 1,
      });
      try {
        const device = space.openDevice("model:odd");
        device.readRegion(0, 0, word());
        device.reset();
      } catch (error) {
        if (!(error instanceof VfioError)) throw error;
      }
      space.close();
    }),
    { numRuns: 500 },
  );
});

test("eventfds travel in portions of what the server takes", () => {
  const device = open(
    greeting({ ...OWN_CAPABILITIES, maxMessageFds: 2 }),
    info(),
    ...[2, 3, 4, 5].map((id) => reply(id, "DEVICE_SET_IRQS")),
  );
  device.setIrqs({ index: 2, action: "trigger", start: 3, count: 7, data: { eventfds: [0, 0, 0, -1, -1, -1, 0] } });
  server.hear();
  server.hear();
  const sent = Array.from({ length: 4 }, () => {
    const message = server.hear();
    for (const fd of message?.fds ?? []) native.close(fd);
    const view = new DataView(message?.bytes.buffer ?? new ArrayBuffer(64), HEADER_SIZE);
    return [view.getUint32(12, true), view.getUint32(16, true), message?.fds.length];
  });
  expect(sent).toEqual([
    [3, 2, 2],
    [5, 1, 1],
    [6, 3, 0],
    [9, 1, 1],
  ]);
});

test("posted writes are one message where the server takes them so, else one each", () => {
  const writes = [
    { region: 0, offset: 8, data: Uint8Array.of(1, 2, 3, 4) },
    { region: 0, offset: 16, data: new Uint8Array(8).fill(7) },
  ];
  const device = open(greeting(), info(), bar0());
  device.postWrites(writes);
  const heard = Array.from({ length: 5 }, () => server.hear());
  expect(heard.map((message) => message?.command)).toEqual([1, 4, 5, 15, undefined]);
  expect(heard[3]).toMatchObject({ flags: structs.FLAG_NO_REPLY });
  expect(heard[3]?.bytes.length).toBe(HEADER_SIZE + 8 + 2 * 24);
  expect(() => device.postWrites([{ region: 0, offset: 4095, data: word() }])).toThrow(VfioError);
  expect(() => device.postWrites([{ region: 0, offset: 0, data: new Uint8Array(9) }])).toThrow(/1 to 8/);
  backend.close();
  server.close();
  const plain = open(greeting({ ...OWN_CAPABILITIES, writeMultiple: false }), info(), bar0());
  plain.postWrites(writes);
  expect(Array.from({ length: 5 }, () => server.hear()?.command)).toEqual([1, 4, 5, 10, 10]);
});

describe("migration", () => {
  const feature = (id: number, data: Uint8Array) =>
    reply(id, "DEVICE_FEATURE", body(structs.device_feature, { argsz: 8 + data.length }, data));

  test("data go in pieces of the size that the server takes", () => {
    const piece = 1000;
    const state = new Uint8Array(Uint32Array.of(VFIO_DEVICE_STATE_RESUMING, 0xffff_ffff).buffer);
    const taken = [3, 4, 5].map((id) => reply(id, "MIG_DATA_WRITE"));
    const device = open(greeting({ ...OWN_CAPABILITIES, maxDataTransfer: piece }), info(), feature(2, state), ...taken);
    using migration = new DeviceMigration(device);
    migration.setState(VFIO_DEVICE_STATE_RESUMING);
    const data = Uint8Array.from({ length: 2 * piece + 1 }, (_, i) => i * 7);
    migration.write(data);
    for (let other = 0; other < 3; other += 1) server.hear();
    const heard = taken.map(
      () => server.hear()?.bytes.subarray(HEADER_SIZE + structs.mig_data.size) ?? new Uint8Array(),
    );
    expect(heard.map(({ length }) => length)).toEqual([piece, piece, 1]);
    expect(Buffer.concat(heard)).toEqual(Buffer.from(data));
  });

  test("a bitmap of written pages that is cut short is no bitmap without written pages", () => {
    const range = { start: 0n, last: 65n * 4096n - 1n };
    const control = body(structs.dma_logging_control, { page_size: 4096n, num_ranges: 1 });
    const report = body(structs.dma_logging_report, { length: 65n * 4096n, page_size: 4096n }, new Uint8Array(8));
    const device = open(greeting(), info(), feature(2, control), feature(3, report));
    const log = new DmaLog(device, { ranges: [range] });
    const error = thrownBy(() => log.report(range));
    expect([error.code, error.message]).toEqual(["EPROTO", expect.stringMatching(/8 bytes.*16/)]);
  });
});
