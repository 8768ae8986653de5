import { fstatSync } from "node:fs";
import { constants } from "node:os";
import { openDescriptors } from "@vfio-selftests/core/testing";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { Commands } from "../../protocol/commands";
import * as structs from "../../protocol/structs";
import type { RawReply } from "../../testing/raw-client";
import { body, messageBytes, RawClient } from "../../testing/raw-client";
import { Scratch, ScratchModel } from "../../testing/scratch-model";
import type { ModelRegion } from "../device-model";

const { EINVAL, EIO, ENOSYS, EEXIST, EOVERFLOW, ENOTTY, EOPNOTSUPP } = constants.errno;
const { header, version, dma_map, dma_unmap, device_info, region_info, region_io_fds, irq_info, irq_set } = structs;
const { region_access, write_multi, write_one, device_feature, mig_data } = structs;
const SEAL = 0x2;

let fdsBefore = 0;
let client: RawClient;

beforeEach(() => {
  fdsBefore = openDescriptors();
  client = new RawClient(new ScratchModel(), { onModelError: () => undefined }).greet();
});

afterEach(() => {
  client[Symbol.dispose]();
  expect(openDescriptors()).toBe(fdsBefore);
});

function u32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
}

function u64(bytes: Uint8Array, offset: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset, true);
}

/** A memfd of `size` bytes, sealed by default. */
function memfd(size: number, seals = SEAL): number {
  const fd = native.memfdCreate("test", 2); // MFD_ALLOW_SEALING
  native.ftruncate(fd, size);
  if (seals !== 0) native.fcntl(fd, 1033, seals);
  return fd;
}

function withFd<Result>(fd: number, use: (fd: number) => Result): Result {
  try {
    return use(fd);
  } finally {
    native.close(fd);
  }
}

const write = (offset: number, data: Uint8Array, region = 0): RawReply =>
  client.ask("REGION_WRITE", body(region_access, { offset, region, count: data.length }, data));
const read = (offset: number, count: number, region = 0): RawReply =>
  client.ask("REGION_READ", body(region_access, { offset, region, count }));

describe("VERSION", () => {
  test("is answered with 0.0 and capabilities that end with NUL", () => {
    client.reconnect();
    const caps = new TextEncoder().encode('{"capabilities":{"max_msg_fds":8}}\0');
    const reply = client.ask("VERSION", body(version, { major: 0, minor: 7 }, caps), { id: 4711 });
    expect(reply).toMatchObject({ id: 4711, command: 1, flags: structs.TYPE_REPLY, error: 0 });
    expect(u32(reply.body, 0)).toBe(0);
    expect(reply.body.at(-1)).toBe(0);
    const { capabilities } = JSON.parse(Buffer.from(reply.body.subarray(4, -1)).toString()) as {
      capabilities: Record<string, unknown>;
    };
    // The others were not proposed by the client.
    expect(capabilities).toEqual({ max_msg_fds: 16 });
  });

  test.each([
    ["another major version", body(version, { major: 1 })],
    ["bad JSON", body(version, {}, new TextEncoder().encode("{\0"))],
    ["no version at all", new Uint8Array(2)],
  ])("with %s ends the connection with EINVAL, and the next client is served", (_name, content) => {
    client.reconnect();
    expect(client.ask("VERSION", content).error).toBe(EINVAL);
    expect(client.ended).toBe(true);
    client.reconnect().greet();
    expect(read(0, 4).error).toBe(0);
  });

  test("has to come first, and only once", () => {
    expect(client.ask("VERSION", body(version, {})).error).toBe(EINVAL);
    expect(client.ended).toBe(false);
    client.reconnect();
    expect(read(0, 4).error).toBe(EINVAL);
    expect(client.ended).toBe(true);
  });
});

describe("DEVICE_GET_INFO", () => {
  test("reports regions, interrupts and reset", () => {
    const reply = client.ask("DEVICE_GET_INFO", body(device_info, { argsz: 16 }));
    expect([0, 4, 8, 12].map((offset) => u32(reply.body, offset))).toEqual([16, 3, 9, 5]);
  });

  test("needs an argsz with room for the answer", () => {
    expect(client.ask("DEVICE_GET_INFO", body(device_info, { argsz: 15 })).error).toBe(EINVAL);
  });
});

describe("DEVICE_GET_REGION_INFO", () => {
  test("reports size and access; a missing region has size 0", () => {
    const bar = client.ask("DEVICE_GET_REGION_INFO", body(region_info, { argsz: 32, index: 0 }));
    expect([u32(bar.body, 0), u32(bar.body, 4), u64(bar.body, 16)]).toEqual([32, 3, 4096n]);
    const none = client.ask("DEVICE_GET_REGION_INFO", body(region_info, { argsz: 32, index: 5 }));
    expect([none.error, u32(none.body, 4), u64(none.body, 16)]).toEqual([0, 0, 0n]);
  });

  test.each([
    ["an index that does not exist", { argsz: 32, index: 9 }],
    ["too little room", { argsz: 31, index: 0 }],
  ])("refuses %s", (_name, fields) => {
    expect(client.ask("DEVICE_GET_REGION_INFO", body(region_info, fields)).error).toBe(EINVAL);
  });
});

describe("a region that may be mapped", () => {
  const areas = [
    { offset: 0, size: 4096 },
    { offset: 8192, size: 4096 },
  ];
  const ask = (index: number, argsz: number) =>
    client.ask("DEVICE_GET_REGION_INFO", body(region_info, { argsz, index }));
  const fileOf = (fd: number) => fstatSync(fd).ino;
  let fd = -1;
  beforeEach(() => {
    client[Symbol.dispose]();
    fd = memfd(12288);
    const region = { size: 12288, read: () => 0, write: () => undefined };
    const regions = new Map<number, ModelRegion>([
      [1, { ...region, memory: { fd, areas } }],
      [2, { ...region, memory: { fd, areas: [{ offset: 0, size: 12288 }] } }],
    ]);
    const model = Object.assign(new ScratchModel(), { regions });
    client = new RawClient(model).greet();
  });
  afterEach(() => native.close(fd));

  test.each([
    [1, areas],
    [2, [{ offset: 0, size: 12288 }]],
  ])("lists its areas, and sends the descriptor along with them", (index, expected) => {
    const { body: bytes, fds, error } = ask(index, 4064);
    expect([error, u32(bytes, 4), u32(bytes, 12), bytes.length]).toEqual([0, 15, 32, 48 + 16 * expected.length]);
    expect(bytes.length).toBe(u32(bytes, 0));
    expect([u32(bytes, 32), u32(bytes, 40)]).toEqual([0x1_0001, expected.length]);
    const told = expected.map((_, i) => ({
      offset: Number(u64(bytes, 48 + 16 * i)),
      size: Number(u64(bytes, 56 + 16 * i)),
    }));
    expect(told).toEqual(expected);
    expect(fds.map(fileOf)).toEqual([fileOf(fd)]);
  });

  test.each([1, 2])(
    "asked without room for the areas, sends no descriptor: the client has no room for that either",
    (i) => {
      // libvfio-user's client asks so first, and fails if a descriptor comes.
      const { body: bytes, fds } = ask(i, 32);
      expect([bytes.length, u32(bytes, 0) > 32, fds.length]).toEqual([32, true, 0]);
      expect(ask(i, u32(bytes, 0)).fds).toHaveLength(1);
    },
  );
});

test("DEVICE_GET_REGION_IO_FDS has no sub-regions to offer", () => {
  const reply = client.ask("DEVICE_GET_REGION_IO_FDS", body(region_io_fds, { argsz: 4096, index: 0 }));
  expect([0, 4, 8, 12].map((offset) => u32(reply.body, offset))).toEqual([16, 0, 0, 0]);
  expect(client.ask("DEVICE_GET_REGION_IO_FDS", body(region_io_fds, { argsz: 16, flags: 1 })).error).toBe(EINVAL);
  expect(client.ask("DEVICE_GET_REGION_IO_FDS", body(region_io_fds, { argsz: 16, index: 99 })).error).toBe(EINVAL);
});

test("DEVICE_GET_IRQ_INFO reports counts, and which vectors can be masked", () => {
  const info = (index: number) => client.ask("DEVICE_GET_IRQ_INFO", body(irq_info, { argsz: 16, index }));
  expect([u32(info(2).body, 4), u32(info(2).body, 12)]).toEqual([1, 40]);
  expect([u32(info(0).body, 4), u32(info(0).body, 12)]).toEqual([7, 1]);
  expect(u32(info(4).body, 12)).toBe(0);
  expect(info(5).error).toBe(EINVAL);
});

describe("REGION_READ and REGION_WRITE", () => {
  test("transfer any width and length", () => {
    const data = Uint8Array.from({ length: 77 }, (_, i) => i + 1);
    const written = write(3, data);
    expect([written.error, u64(written.body, 0), u32(written.body, 12)]).toEqual([0, 3n, 77]);
    const back = read(3, 77);
    expect([...back.body.subarray(16)]).toEqual([...data]);
    expect(read(10, 1).body.length).toBe(17);
    expect(read(10, 0).body.length).toBe(16);
  });

  test("one aligned store of 64 bytes reaches the model as one", () => {
    write(Scratch.portal, new Uint8Array(64).fill(0xab));
    expect(u32(read(Scratch.wideStores, 4).body, 16)).toBe(1);
    expect([...read(Scratch.portal, 64).body.subarray(16)]).toEqual(Array(64).fill(0xab));
    write(Scratch.portal + 8, new Uint8Array(64));
    expect(u32(read(Scratch.wideStores, 4).body, 16)).toBe(1);
  });

  test.each([
    ["behind the end", { offset: 4093, region: 0, count: 4 }],
    ["far behind the end", { offset: 2n ** 63n, region: 0, count: 4 }],
    ["where offset and count wrap", { offset: 2n ** 64n - 2n, region: 0, count: 4 }],
    ["of a region that is not there", { offset: 0, region: 4, count: 4 }],
    ["of an index that is not there", { offset: 0, region: 0xffff_ffff, count: 4 }],
    ["of more than the negotiated size", { offset: 0, region: 0, count: 1024 * 1024 + 1 }],
  ])("an access %s is refused", (_name, fields) => {
    expect(client.ask("REGION_READ", body(region_access, fields)).error).toBe(EINVAL);
    if (fields.count === 4) {
      expect(client.ask("REGION_WRITE", body(region_access, fields, new Uint8Array(4))).error).toBe(EINVAL);
    }
  });

  test("a write whose data are not as long as its count is refused", () => {
    const fields = { offset: 0, region: 0, count: 4 };
    expect(client.ask("REGION_WRITE", body(region_access, fields, new Uint8Array(3))).error).toBe(EINVAL);
    expect(client.ask("REGION_WRITE", body(region_access, fields, new Uint8Array(5))).error).toBe(EINVAL);
  });

  test("an exception in the model is EIO, and the server goes on", () => {
    expect(write(Scratch.command, Uint8Array.of(4, 0, 0, 0)).error).toBe(EIO);
    expect(read(0, 4).error).toBe(0);
  });
});

describe("REGION_WRITE_MULTI", () => {
  const one = (offset: number, count: number, data: bigint, region = 0) =>
    body(write_one, { offset, region, count, data });

  test("does all writes in order", () => {
    const writes = Buffer.concat([one(0, 4, 0x1111n), one(8, 8, 0x1122334455667788n), one(0, 1, 0x22n)]);
    const reply = client.ask("REGION_WRITE_MULTI", body(write_multi, { count: 3 }, writes));
    expect([reply.error, u64(reply.body, 0)]).toEqual([0, 3n]);
    expect(u32(read(0, 4).body, 16)).toBe(0x1122);
    expect(u64(read(8, 8).body, 16)).toBe(0x1122334455667788n);
  });

  test.each([
    ["a width of 9", body(write_multi, { count: 1 }, one(0, 9, 0n))],
    ["a write behind the end", body(write_multi, { count: 1 }, one(4090, 8, 0n))],
    ["fewer writes than it says", body(write_multi, { count: 2 }, one(0, 8, 0n))],
    [
      "more than 200 writes",
      body(write_multi, { count: 201 }, Buffer.concat(Array<Uint8Array>(201).fill(one(0, 8, 0n)))),
    ],
    ["2^61 writes", body(write_multi, { count: 2n ** 61n })],
  ])("with %s is refused", (_name, content) => {
    expect(client.ask("REGION_WRITE_MULTI", content).error).toBe(EINVAL);
  });
});

describe("DMA_MAP and DMA_UNMAP", () => {
  const map = (fields: Partial<Record<keyof typeof dma_map.fields, number | bigint>>, fds: number[] = []) =>
    client.ask("DMA_MAP", body(dma_map, { argsz: 32, flags: 3, size: 4096, ...fields }), { fds }).error;
  const unmap = (address: bigint | number, size: bigint | number, flags = 0) =>
    client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, address, size, flags }));

  test("a map cannot overlap another one", () => {
    expect(map({ address: 0x1000, size: 0x2000 })).toBe(0);
    expect(map({ address: 0x2000 })).toBe(EEXIST);
    expect(map({ address: 0, size: 0x10000 })).toBe(EEXIST);
    expect(map({ address: 0x3000 })).toBe(0);
    expect(client.device.maps.size).toBe(2);
  });

  test("the last page of the 64-bit space can be mapped and unmapped, and nothing beyond", () => {
    const top = 2n ** 64n - 4096n;
    expect(map({ address: top })).toBe(0);
    expect(map({ address: top, size: 8192 })).toBe(EOVERFLOW);
    expect(unmap(top, 8192).error).toBe(EOVERFLOW);
    expect(unmap(top, 4096).error).toBe(0);
    expect(client.device.maps.size).toBe(0);
  });

  test("an unmap removes the maps inside, accepts an empty range, and cuts nothing in two", () => {
    for (const address of [0x1000, 0x3000, 0x5000, 0x10000]) map({ address, size: 0x2000 });
    expect(unmap(0x100000, 0x100000).error).toBe(0);
    expect(unmap(0x3000, 0x1000).error).toBe(EINVAL);
    expect(unmap(0x2000, 0x4000).error).toBe(EINVAL);
    expect(client.device.maps.size).toBe(4);
    const reply = unmap(0, 0x8000);
    expect([reply.error, u64(reply.body, 8), u64(reply.body, 16)]).toEqual([0, 0n, 0x8000n]);
    expect(client.device.maps.size).toBe(1);
    expect(unmap(0, 0, structs.DMA_UNMAP_ALL).error).toBe(0);
    expect(client.device.maps.size).toBe(0);
  });

  test.each([
    ["an empty range", { size: 0 }],
    ["an address inside a page", { address: 1 }],
    ["a size of no whole pages", { size: 4097 }],
    ["no access at all", { flags: 0 }],
    ["unknown flags", { flags: 0x13 }],
    ["the mmap flag without a descriptor", { flags: 7 }],
  ])("a map with %s is refused", (_name, fields) => {
    expect(map(fields)).toBe(EINVAL);
  });

  test("an argsz without room for the fields, or for the reply, is refused and changes nothing", () => {
    expect(map({ argsz: 31 })).toBe(EINVAL);
    expect(client.device.maps.size).toBe(0);
    expect(map({})).toBe(0);
    const short = body(dma_unmap, { argsz: 23, address: 0, size: 4096 });
    expect(client.ask("DMA_UNMAP", short).error).toBe(EINVAL);
    expect(client.device.maps.size).toBe(1);
  });

  test("other unmap requests are refused", () => {
    expect(unmap(0, 0).error).toBe(EINVAL);
    expect(unmap(0, 4096, structs.DMA_UNMAP_ALL).error).toBe(EINVAL);
    expect(unmap(0, 4096, structs.DMA_UNMAP_DIRTY_BITMAP).error).toBe(EOPNOTSUPP);
    expect(unmap(0, 4096, 8).error).toBe(EINVAL);
  });

  test("a descriptor must be a file that has the range", () => {
    withFd(memfd(8192), (fd) => {
      expect(map({ offset: 8192 }, [fd])).toBe(EINVAL);
      expect(map({ size: 12288 }, [fd])).toBe(EINVAL);
      expect(map({ offset: 2n ** 63n }, [fd])).toBe(EINVAL);
      expect(map({ offset: 1 }, [fd])).toBe(EINVAL);
      expect(map({ offset: 4096 }, [fd])).toBe(0);
    });
    withFd(native.eventfd(0, 0), (fd) => expect(map({ address: 0x8000 }, [fd])).toBe(EINVAL));
    withFd(native.open("/dev/zero", 2), (fd) => expect(map({ address: 0x8000 }, [fd])).toBe(EINVAL));
  });
});

describe("DEVICE_SET_IRQS", () => {
  const set = (
    flags: number,
    start: number,
    count: number,
    { index = 2, fds = [] as number[], data = [] as number[] } = {},
  ) =>
    client.ask(
      "DEVICE_SET_IRQS",
      body(irq_set, { argsz: 20 + data.length, flags, index, start, count }, Uint8Array.from(data)),
      { fds },
    ).error;
  const CONNECT = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  const DISABLE = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  const raise = (vector: number, index = 2) => client.device.raiseInterrupt(index, vector);

  let events: number[] = [];
  const taken = (i: number): number => {
    const counter = new BigUint64Array(1);
    return native.read(events[i] ?? -1, new Uint8Array(counter.buffer)) === 8 ? Number(counter[0]) : 0;
  };
  beforeEach(() => {
    events = Array.from({ length: 3 }, () => native.eventfd(0, 0o4000));
  });
  afterEach(() => {
    for (const fd of events) native.close(fd);
  });

  test("connects eventfds, one for each vector, and disables the index", () => {
    expect(raise(0)).toBe("unconnected");
    expect(set(CONNECT, 5, 3, { fds: events })).toBe(0);
    expect(client.device.interruptConnected(2, 6)).toBe(true);
    expect([raise(5), raise(6), raise(6), raise(8)]).toEqual(["raised", "raised", "raised", "unconnected"]);
    expect([taken(0), taken(1), taken(2)]).toEqual([1, 2, 0]);
    expect(set(DISABLE, 0, 0)).toBe(0);
    expect(raise(5)).toBe("unconnected");
  });

  test("without descriptors the vector is masked, and an interrupt raised meanwhile comes with the next eventfd", () => {
    set(CONNECT, 0, 1, { fds: [events[0] ?? -1] });
    expect(set(CONNECT, 0, 1)).toBe(0);
    expect([raise(0), raise(0)]).toEqual(["pending", "pending"]);
    expect(set(CONNECT, 0, 1, { fds: [events[1] ?? -1] })).toBe(0);
    expect([taken(0), taken(1)]).toEqual([0, 1]);
    // A reset leaves nothing pending.
    set(CONNECT, 0, 1);
    raise(0);
    client.ask("DEVICE_RESET");
    set(CONNECT, 0, 1, { fds: [events[1] ?? -1] });
    expect(taken(1)).toBe(0);
  });

  test("the client triggers vectors itself", () => {
    set(CONNECT, 0, 3, { fds: events });
    expect(set(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 2)).toBe(0);
    expect(set(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 3, { data: [0, 1, 1] })).toBe(0);
    expect([taken(0), taken(1), taken(2)]).toEqual([1, 2, 1]);
  });

  test("INTx masks itself, and one raised meanwhile comes at the unmask", () => {
    expect(set(CONNECT, 0, 1, { index: 0, fds: [events[0] ?? -1] })).toBe(0);
    expect(set(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_MASK, 0, 1, { index: 0, fds: [events[1] ?? -1] })).toBe(
      0,
    );
    expect(
      set(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, { index: 0, fds: [events[2] ?? -1] }),
    ).toBe(0);
    expect([raise(0, 0), raise(0, 0)]).toEqual(["raised", "pending"]);
    expect([taken(0), taken(1), taken(2)]).toEqual([1, 1, 0]);
    expect(set(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, { index: 0 })).toBe(0);
    expect([taken(0), taken(1), taken(2)]).toEqual([1, 1, 1]);
    expect(set(VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, { index: 0, data: [1] })).toBe(0);
    expect(set(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, 0, 1, { index: 0 })).toBe(0);
    expect(raise(0, 0)).toBe("pending");
  });

  test("takes only eventfds, because a write to a pipe or a terminal could wait for the client", () => {
    const [socket = -1, other = -1] = native.socketpair() as readonly number[];
    expect(set(CONNECT, 0, 2, { fds: [events[0] ?? -1, socket] })).toBe(EINVAL);
    expect(raise(0)).toBe("unconnected");
    for (const fd of [socket, other]) native.close(fd);
  });

  test("an eventfd with a full counter does not block the server", () => {
    const full = native.eventfd(0, 0); // blocking
    native.write(full, new Uint8Array(new BigUint64Array([2n ** 64n - 2n]).buffer));
    set(CONNECT, 0, 1, { fds: [full] });
    native.close(full);
    expect(raise(0)).toBe("raised");
  });

  test.each([
    ["a vector that is not there", CONNECT, 40, 1, {}],
    ["a range that wraps", CONNECT, 1, 0xffff_ffff, {}],
    ["an index without vectors", DISABLE, 0, 0, { index: 1 }],
    ["an index that is not there", DISABLE, 0, 0, { index: 77 }],
    [
      "two actions",
      VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_ACTION_MASK,
      0,
      1,
      { index: 0 },
    ],
    ["no action", VFIO_IRQ_SET_DATA_NONE, 0, 1, {}],
    ["two kinds of data", VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, {}],
    ["unknown flags", DISABLE | 0x40, 0, 1, {}],
    ["fewer booleans than vectors", VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 3, { data: [1] }],
    ["a start without a count", DISABLE, 1, 0, {}],
    ["no vectors to connect", CONNECT, 0, 0, {}],
  ])("with %s is refused", (_name, flags, start, count, rest) => {
    expect(set(flags, start, count, rest)).toBe(EINVAL);
  });

  test("descriptors must be as many as vectors, and belong to nothing else", () => {
    expect(set(CONNECT, 0, 2, { fds: events })).toBe(EINVAL);
    expect(set(DISABLE, 0, 3, { fds: events })).toBe(EINVAL);
    expect(set(CONNECT, 0, 17, { fds: Array<number>(17).fill(events[0] ?? -1) })).toBe(EINVAL);
    expect(client.device.interruptConnected(2, 0)).toBe(false);
  });

  test("masking where it cannot be done is ENOTTY", () => {
    expect(set(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, 0, 1)).toBe(ENOTTY);
  });
});

test("DEVICE_RESET resets the model", () => {
  write(0, new Uint8Array(4).fill(9));
  expect(client.ask("DEVICE_RESET").error).toBe(0);
  expect([u32(read(0, 4).body, 16), u32(read(Scratch.resets, 4).body, 16)]).toEqual([0, 1]);
});

test("every command that the server does not offer gets its own error", () => {
  expect(client.ask("DEVICE_FEATURE", body(device_feature, { argsz: 8, flags: 0x10001 })).error).toBe(ENOTTY);
  expect(client.ask("MIG_DATA_READ", body(mig_data, { argsz: 8, size: 100 })).error).toBe(EOPNOTSUPP);
  expect(client.ask("MIG_DATA_WRITE", body(mig_data, { argsz: 9, size: 1 }, new Uint8Array(1))).error).toBe(EOPNOTSUPP);
  expect(client.ask("DIRTY_PAGES", new Uint8Array(8)).error).toBe(EOPNOTSUPP);
  // Commands of the other direction, and unknown ones.
  expect(client.ask("DMA_READ", body(structs.dma_access, { count: 4 })).error).toBe(ENOSYS);
  client.sendBytes(messageBytes(4242, new Uint8Array(3)));
  expect(client.receive()?.error).toBe(ENOSYS);
});

describe("the stream", () => {
  const info = body(device_info, { argsz: 16 });

  test("a message that asks for no reply gets none, not even for an error", () => {
    const flags = structs.FLAG_NO_REPLY;
    client.sendBytes(
      messageBytes(10, body(region_access, { offset: 0, region: 0, count: 1 }, Uint8Array.of(7)), { flags }),
    );
    client.sendBytes(
      messageBytes(10, body(region_access, { offset: 9999, region: 0, count: 1 }, Uint8Array.of(7)), { flags }),
    );
    client.sendBytes(messageBytes(99, new Uint8Array(), { flags }));
    expect(client.receive()).toBeUndefined();
    expect(read(0, 1).body[16]).toBe(7);
  });

  test("a reply carries the id and the command of its request", () => {
    for (const id of [0, 1, 0xffff, 1])
      expect(client.ask("DEVICE_GET_INFO", info, { id })).toMatchObject({ id, command: 4 });
  });

  test("several messages in one piece are all answered", () => {
    client.sendBytes(
      Buffer.concat([
        messageBytes(4, info, { id: 1 }),
        messageBytes(4, info, { id: 2 }),
        messageBytes(13, new Uint8Array(), { id: 3 }),
      ]),
    );
    expect([client.receive()?.id, client.receive()?.id, client.receive()?.id]).toEqual([1, 2, 3]);
  });

  test("surplus descriptors are closed, and the request is served", () => {
    expect(client.ask("DEVICE_GET_INFO", info, { fds: [0, 1] }).error).toBe(0);
    // SPDK sends the memory's descriptor with DMA_UNMAP, too.
    expect(client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, size: 4096 }), { fds: [0] }).error).toBe(0);
    expect(client.ask("DEVICE_RESET", new Uint8Array(), { fds: [0] }).error).toBe(0);
    withFd(memfd(4096), (fd) => {
      const map = body(dma_map, { argsz: 32, flags: 3, address: 0x8000, size: 4096 });
      expect(client.ask("DMA_MAP", map, { fds: [fd, 0, fd] }).error).toBe(0);
    });
  });

  test.each([
    ["DMA_MAP", body(dma_map, { argsz: 32, flags: 3, size: 4096 }), 0],
    ["DMA_UNMAP", body(dma_unmap, { argsz: 24, size: 4096 }), 24],
    ["DEVICE_GET_INFO", info, 16],
    ["DEVICE_GET_REGION_INFO", body(region_info, { argsz: 4064 }), 32],
    ["DEVICE_GET_REGION_IO_FDS", body(region_io_fds, { argsz: 16 }), 16],
    ["DEVICE_GET_IRQ_INFO", body(irq_info, { argsz: 16, index: 2 }), 16],
    ["DEVICE_SET_IRQS", body(irq_set, { argsz: 20, flags: 0x21, index: 2 }), 0],
    ["REGION_READ", body(region_access, { count: 4 }), 20],
    ["DEVICE_RESET", new Uint8Array(), 0],
  ] as const)("%s with more bytes than its fields is served all the same", (name, content, length) => {
    const reply = client.ask(name, Buffer.concat([content, new Uint8Array(4096 - content.length)]));
    expect([reply.error, reply.body.length]).toEqual([0, length]);
  });

  test.each([
    ["an error", structs.FLAG_ERROR],
    ["something unknown", 1 << 6],
    ["something unknown high up", 0x8000_0000],
  ])("a command whose flags say %s is refused", (_name, flags) => {
    expect(client.ask("DEVICE_GET_INFO", info, { flags }).error).toBe(EINVAL);
    expect(client.ended).toBe(false);
  });

  test.each([0, 15, 17 * 1024 * 1024, 0xffff_ffff])("a size of %d ends the connection", (size) => {
    expect(client.ask("DEVICE_GET_INFO", info, { size }).error).toBe(EINVAL);
    expect(client.ended).toBe(true);
  });

  test("a reply to nothing ends the connection", () => {
    client.sendBytes(messageBytes(Commands.DMA_READ.number, new Uint8Array(16), { flags: structs.TYPE_REPLY }));
    expect(client.ended).toBe(true);
  });

  test("a message that is neither command nor reply ends the connection", () => {
    client.sendBytes(messageBytes(4, info, { flags: 2 }));
    expect(client.ended).toBe(true);
  });

  test("the server forgets a client that goes in the middle of a message, with all it had", () => {
    withFd(memfd(4096), (fd) => {
      client.ask("DMA_MAP", body(dma_map, { argsz: 32, flags: 3, size: 4096 }), { fds: [fd] });
      client.sendBytes(messageBytes(Commands.DMA_MAP.number, body(dma_map, { argsz: 32 })).subarray(0, 20), [fd]);
    });
    client.reconnect().greet();
    expect(client.device.maps.size).toBe(0);
    expect(read(0, 4).error).toBe(0);
  });

  test("the device's state outlives a client", () => {
    write(0, Uint8Array.of(1, 2, 3, 4));
    client.reconnect().greet();
    expect([...read(0, 4).body.subarray(16)]).toEqual([1, 2, 3, 4]);
  });

  test("the header's error field means nothing in a command", () => {
    const bytes = messageBytes(4, info);
    header.fields.error.set(header.copyOf(bytes), 5);
    client.sendBytes(messageBytes(4, info, { error: 5 }));
    expect(client.receive()?.error).toBe(0);
  });
});
