import { constants } from "node:os";
import { Eventfd } from "@vfio-selftests/core";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import * as structs from "../../protocol/structs";
import { Moving, MovingModel, SLICE } from "../../testing/moving-model";
import { body, messageBytes, RawClient, type RawReply } from "../../testing/raw-client";
import { PciIrq } from "../device-model";

const { E2BIG, EINVAL, EOVERFLOW } = constants.errno;
const { dma_logging_control, dma_logging_report, dma_map, device_feature, irq_set, mig_data, region_access } = structs;
const [GET, SET, PROBE] = [1 << 16, 1 << 17, 1 << 18];
const [STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY, ERROR] = [1, 2, 3, 4, 6, 0];
const FEATURE = 16;

/** A client of a device that can move. */
class Mover implements Disposable {
  readonly model: MovingModel;
  readonly client: RawClient;

  constructor(version = 1) {
    this.model = new MovingModel(version);
    this.client = new RawClient(this.model, { onModelError: () => undefined }).greet();
  }

  feature(flags: number, data: Uint8Array = new Uint8Array(), argsz = 64): RawReply {
    return this.client.ask("DEVICE_FEATURE", body(device_feature, { argsz, flags }, data));
  }

  go(state: number): number {
    return this.feature(2 | SET, words(state, 0xffff_ffff)).error;
  }

  get state(): number {
    return new DataView(this.feature(2 | GET).body.buffer).getUint32(8, true);
  }

  read(size: number): Uint8Array {
    const reply = this.client.ask("MIG_DATA_READ", body(mig_data, { argsz: 8 + size, size }));
    expect(reply.error).toBe(0);
    return reply.body.subarray(8);
  }

  /** All of the stream, `size` bytes at a time. */
  readAll(size = 100): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let part = this.read(size); part.length > 0; part = this.read(size)) parts.push(part);
    return Buffer.concat(parts);
  }

  write(data: Uint8Array): number {
    return this.client.ask("MIG_DATA_WRITE", body(mig_data, { argsz: 8, size: data.length }, data)).error;
  }

  poke(offset: number, value: number): void {
    const at = body(region_access, { offset: BigInt(offset), region: 0, count: 4 }, words(value));
    expect(this.client.ask("REGION_WRITE", at).error).toBe(0);
  }

  setIrq(flags: number, fds: number[] = [], start = 1): number {
    const fields = { argsz: 20, flags, index: PciIrq.msix, start, count: 1 };
    return this.client.ask("DEVICE_SET_IRQS", body(irq_set, fields), { fds }).error;
  }

  /** `iova` for the device to write to, by messages. */
  map(size: number, iova = 0n): void {
    const asked = body(dma_map, { argsz: 32, flags: 3, address: iova, size });
    expect(this.client.ask("DMA_MAP", asked).error).toBe(0);
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }
}

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** What a device sends that was stopped at once. */
function savedOf(mover: Mover): Uint8Array {
  expect(mover.go(STOP_COPY)).toBe(0);
  return mover.readAll();
}

describe("VFIO_USER_DEVICE_FEATURE", () => {
  test("tells what there is, and refuses what the kernel refuses", () => {
    using mover = new Mover();
    const migration = mover.feature(1 | GET);
    expect([...migration.body]).toEqual([...words(16, 1 | GET, 5, 0)]);
    expect(mover.state).toBe(RUNNING);
    const methods = { 1: GET, 2: GET | SET, 6: SET, 7: SET, 8: GET };
    for (const [feature, allowed] of Object.entries(methods)) {
      for (const asked of [GET, SET, GET | SET]) {
        const { error, body: reply } = mover.feature(Number(feature) | PROBE | asked);
        expect([feature, asked, error]).toEqual([feature, asked, (asked & ~allowed) === 0 ? 0 : EINVAL]);
        if (error === 0) expect([...reply]).toEqual([...words(64, Number(feature) | PROBE | asked)]);
      }
      expect(mover.feature(Number(feature)).error).toBe(EINVAL);
    }
    for (const feature of [0, 3, 9, 12, 0xffff]) {
      expect(mover.feature(feature | PROBE).error).toBe(constants.errno.ENOTTY);
    }
    expect(mover.feature(1 | GET | (1 << 19)).error).toBe(EINVAL);
    expect(mover.feature(1 | GET, undefined, 15).error).toBe(EINVAL);
    expect(mover.feature(2 | SET, new Uint8Array(7)).error).toBe(EINVAL);
  });

  test("a state that is none, and one of P2P, leave the device as it is", () => {
    using mover = new Mover();
    for (const state of [ERROR, 5, 7, 8, 0xffff_ffff])
      expect([mover.go(state), mover.state]).toEqual([EINVAL, RUNNING]);
  });

  test("the reply to a set is its request", () => {
    using mover = new Mover();
    const asked = words(64, 2 | SET, STOP, 0xffff_ffff);
    expect([...mover.client.ask("DEVICE_FEATURE", asked).body]).toEqual([...asked]);
  });
});

describe("a stopped device", () => {
  test("makes no step, and goes on where it stopped", () => {
    using mover = new Mover();
    mover.poke(Moving.destination, 0x10_0000); // not mapped: a step would end the work
    expect(mover.go(STOP)).toBe(0);
    mover.poke(Moving.left, 3 * SLICE);
    expect(new DataView(mover.model.bytes.buffer).getUint32(Moving.left, true)).toBe(3 * SLICE);
    expect(mover.go(RUNNING)).toBe(0);
    expect(new DataView(mover.model.bytes.buffer).getUint32(Moving.left, true)).toBe(0);
  });

  test("keeps interrupts back until it runs again", () => {
    using mover = new Mover();
    using event = new Eventfd("test");
    expect(mover.setIrq(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, [native.dup(event.fd)])).toBe(0);
    expect(mover.go(STOP)).toBe(0);
    mover.poke(Moving.interrupt, 1);
    mover.poke(Moving.interrupt, 1);
    expect(event.tryRead()).toBeUndefined();
    expect(mover.go(RUNNING)).toBe(0);
    expect(event.tryRead()).toBe(1n);
  });
});

describe("the data", () => {
  test("move a device, byte by byte, in pieces of any size", () => {
    using source = new Mover();
    for (let at = 0; at < Moving.memorySize; at += 4) source.poke(at, at * 0x0101_0101);
    const saved = savedOf(source);
    for (const piece of [1, 7, 4096]) {
      using destination = new Mover();
      expect(destination.go(RESUMING)).toBe(0);
      for (let at = 0; at < saved.length; at += piece) {
        expect(destination.write(saved.subarray(at, at + piece))).toBe(0);
      }
      expect([destination.go(RUNNING), destination.state]).toEqual([0, RUNNING]);
      expect(destination.model.bytes).toEqual(source.model.bytes);
    }
  });

  test("that went ahead need not go again, except for what has changed since", () => {
    using source = new Mover();
    source.poke(0, 1);
    expect(source.go(PRE_COPY)).toBe(0);
    const first = source.readAll();
    expect(source.read(100)).toHaveLength(0);
    source.poke(4, 2);
    const second = source.readAll();
    expect(second.length).toBeGreaterThan(Moving.memorySize);
    source.poke(Moving.destination, 3);
    const rest = savedOf(source);
    using destination = new Mover();
    expect(destination.go(RESUMING)).toBe(0);
    for (const part of [first, second, rest]) expect(destination.write(part)).toBe(0);
    expect(destination.go(STOP)).toBe(0);
    expect(destination.model.bytes).toEqual(source.model.bytes);
  });

  test.each([
    ["was given up", RUNNING],
    ["was stopped in it", STOP_COPY],
  ])("go whole again after a migration that %s", (_how, between) => {
    using source = new Mover();
    source.poke(0, 1);
    expect(source.go(PRE_COPY)).toBe(0);
    expect(source.readAll().length).toBeGreaterThan(Moving.memorySize);
    expect([source.go(between), source.go(STOP)]).toEqual([0, 0]);
    const saved = savedOf(source);
    using destination = new Mover();
    expect([destination.go(RESUMING), destination.write(saved), destination.go(STOP)]).toEqual([0, 0, 0]);
    expect(destination.model.bytes).toEqual(source.model.bytes);
  });

  test("go ahead whole in a second migration", () => {
    using source = new Mover();
    expect(source.go(PRE_COPY)).toBe(0);
    const first = source.readAll();
    expect([source.go(RUNNING), source.go(PRE_COPY)]).toEqual([0, 0]);
    expect(source.readAll()).toEqual(first);
  });

  test("take a pending interrupt along", () => {
    using source = new Mover();
    using event = new Eventfd("test");
    const connect = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    expect(source.setIrq(connect, [native.dup(event.fd)])).toBe(0);
    expect(source.setIrq(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK)).toBe(0);
    source.poke(Moving.interrupt, 1);
    const saved = savedOf(source);
    using destination = new Mover();
    expect([destination.go(RESUMING), destination.write(saved), destination.go(RUNNING)]).toEqual([0, 0, 0]);
    using other = new Eventfd("test");
    expect(destination.setIrq(connect, [native.dup(other.fd)])).toBe(0);
    expect([event.tryRead(), other.tryRead()]).toEqual([undefined, 1n]);
    expect(source.setIrq(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK)).toBe(0);
  });

  test("take no interrupt along that nobody listened for", () => {
    const connect = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    using event = new Eventfd("test");
    using source = new Mover();
    expect(source.setIrq(connect, [native.dup(event.fd)])).toBe(0);
    expect(source.go(STOP)).toBe(0);
    source.poke(Moving.interrupt, 2);
    const saved = savedOf(source);
    using destination = new Mover();
    expect([destination.go(RESUMING), destination.write(saved), destination.go(RUNNING)]).toEqual([0, 0, 0]);
    expect(destination.setIrq(connect, [native.dup(event.fd)], 2)).toBe(0);
    expect(event.tryRead()).toBeUndefined();
  });

  test("cut short leave the device as it was, and may still go on", () => {
    using source = new Mover();
    source.poke(0, 0x55);
    const saved = savedOf(source);
    using destination = new Mover();
    destination.poke(0, 0xaa);
    const before = destination.model.bytes;
    expect([destination.go(RESUMING), destination.go(STOP), destination.state]).toEqual([0, EINVAL, RESUMING]);
    expect(destination.write(saved.subarray(0, -1))).toBe(0);
    expect([destination.go(RUNNING), destination.state]).toEqual([EINVAL, RESUMING]);
    expect([destination.model.bytes, destination.model.loads]).toEqual([before, 0]);
    expect(destination.write(saved.subarray(-1))).toBe(0);
    expect(destination.write(Uint8Array.of(0))).toBe(EINVAL);
    expect(destination.go(RUNNING)).toBe(0);
    expect(destination.model.bytes).toEqual(source.model.bytes);
  });

  test("altered, or of another version, are refused: the device is in ERROR until it is reset", () => {
    using source = new Mover();
    const saved = savedOf(source);
    using other = new Mover(2);
    const foreign = savedOf(other);
    const altered = Uint8Array.from(saved);
    altered[200] = ~(altered[200] ?? 0);
    for (const data of [altered, foreign]) {
      using destination = new Mover();
      expect([destination.go(RESUMING), destination.write(data)]).toEqual([0, EINVAL]);
      expect([destination.go(STOP), destination.state, destination.model.loads]).toEqual([EINVAL, ERROR, 0]);
      for (const state of [STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY]) expect(destination.go(state)).toBe(EINVAL);
      expect(destination.write(saved)).toBe(EINVAL);
      expect(destination.client.ask("DEVICE_RESET").error).toBe(0);
      expect(destination.state).toBe(RUNNING);
    }
  });

  test("that the model refuses leave it in ERROR, and the next client finds it reset", () => {
    using source = new Mover();
    expect(source.go(PRE_COPY)).toBe(0);
    const ahead = source.readAll();
    source.poke(Moving.memorySize, 0xee); // the first byte of the registers
    const rest = savedOf(source);
    using destination = new Mover();
    expect([destination.go(RESUMING), destination.write(ahead), destination.write(rest)]).toEqual([0, 0, 0]);
    expect([destination.go(STOP), destination.state]).toEqual([EINVAL, ERROR]);
    destination.client.reconnect().greet();
    expect(destination.state).toBe(RUNNING);
    expect(destination.model.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test("exist in their states only, and end with them", () => {
    using mover = new Mover();
    const read = () => mover.client.ask("MIG_DATA_READ", body(mig_data, { argsz: 72, size: 64 })).error;
    expect([read(), mover.write(words(1))]).toEqual([EINVAL, EINVAL]);
    expect([mover.go(PRE_COPY), read(), mover.write(words(1))]).toEqual([0, 0, EINVAL]);
    expect([mover.go(STOP), read(), mover.write(words(1))]).toEqual([0, EINVAL, EINVAL]);
    expect([mover.go(RESUMING), read()]).toEqual([0, EINVAL]);
    expect([mover.client.ask("DEVICE_RESET").error, mover.write(words(1))]).toEqual([0, EINVAL]);
    expect([mover.go(STOP_COPY), mover.client.ask("DEVICE_RESET").error, read()]).toEqual([0, 0, EINVAL]);
    mover.go(STOP_COPY);
    expect(mover.client.ask("MIG_DATA_READ", body(mig_data, { argsz: 71, size: 64 })).error).toBe(EINVAL);
    mover.client.reconnect().greet();
    expect([mover.state, read()]).toEqual([RUNNING, EINVAL]);
  });
});

describe("requests in the middle of a step", () => {
  test("wait for its end, in order, and are then answered", () => {
    using mover = new Mover();
    mover.map(0x1_0000);
    mover.poke(Moving.destination, 0);
    const { client } = mover;
    // The step waits for the client to store its bytes; meanwhile the client stops the device and reads a register.
    const start = body(region_access, { offset: BigInt(Moving.left), region: 0, count: 4 }, words(2 * SLICE));
    const readLeft = body(region_access, { offset: BigInt(Moving.left), region: 0, count: 4 });
    const stop = body(device_feature, { argsz: 16, flags: 2 | SET }, words(STOP, 0));
    client.queueBytes(messageBytes(10, start, { id: 1 }));
    client.queueBytes(messageBytes(FEATURE, stop, { id: 2 }));
    client.queueBytes(messageBytes(9, readLeft, { id: 3 }));
    // No to the server's question for the layout (as QEMU is asked), and the answer to the first DMA_WRITE.
    const flags = structs.TYPE_REPLY;
    client.queueBytes(messageBytes(11, new Uint8Array(), { id: 1, flags: flags | structs.FLAG_ERROR, error: EINVAL }));
    client.queueBytes(messageBytes(12, new Uint8Array(16), { id: 2, flags }));
    client.work();
    const replies: [number, number, number][] = [];
    for (let reply = client.receive(); reply !== undefined; reply = client.receive()) {
      replies.push([reply.command, reply.id, reply.error]);
    }
    expect(replies).toEqual([
      [10, 1, 0],
      [11, 1, 0],
      [12, 2, 0],
      [FEATURE, 2, 0],
      [9, 3, 0],
    ]);
    // Stopped after one of two steps.
    expect(new DataView(mover.model.bytes.buffer).getUint32(Moving.left, true)).toBe(SLICE);
  });
});

describe("the log of writes", () => {
  const PAGE = 4096n;
  const control = (pageSize: bigint, ranges: bigint[], count = ranges.length / 2): Uint8Array =>
    body(
      dma_logging_control,
      { page_size: pageSize, num_ranges: count },
      new Uint8Array(BigUint64Array.from(ranges).buffer),
    );
  const reportOf = (iova: bigint, length: bigint, pageSize: bigint): Uint8Array =>
    body(dma_logging_report, { iova, length, page_size: pageSize });

  test("starts with ranges that make sense, and tells the size of its pages", () => {
    using mover = new Mover();
    const start = (...given: Parameters<typeof control>) => mover.feature(6 | SET, control(...given), 8192);
    expect(start(3n * PAGE, []).error).toBe(EINVAL);
    expect(start(PAGE, [0n, PAGE], 2).error).toBe(EINVAL);
    expect(start(PAGE, [512n, PAGE]).error).toBe(EINVAL);
    expect(start(PAGE, [0n, 0n]).error).toBe(EINVAL);
    expect(start(PAGE, [0n, 2n * PAGE, PAGE, PAGE]).error).toBe(EINVAL);
    expect(start(PAGE, [(1n << 64n) - PAGE, 2n * PAGE]).error).toBe(EOVERFLOW);
    const many = Array.from({ length: 257 }, (_, i) => [BigInt(i) * PAGE, PAGE]).flat();
    expect(start(PAGE, many).error).toBe(E2BIG);
    expect(mover.feature(8 | GET, reportOf(0n, PAGE, PAGE)).error).toBe(EINVAL);
    const large = start(512n * PAGE, []);
    expect([large.error, new DataView(large.body.buffer).getBigUint64(8, true)]).toEqual([0, PAGE]);
    expect(start(PAGE, []).error).toBe(EINVAL);
    expect([mover.feature(7 | SET).error, mover.feature(7 | SET).error]).toEqual([0, 0]);
    expect(start(PAGE, many.slice(0, 512)).error).toBe(0);
  });

  test("reports in pages of at least 4 KiB, as far as the reply has room", () => {
    using mover = new Mover();
    expect(mover.feature(6 | SET, control(PAGE, [])).error).toBe(0);
    const report = (iova: bigint, length: bigint, pageSize: bigint, argsz: number) =>
      mover.feature(8 | GET, reportOf(iova, length, pageSize), argsz);
    expect(report(0n, PAGE, 2048n, 64).error).toBe(EINVAL);
    expect(report(0n, PAGE, 3n * PAGE, 64).error).toBe(EINVAL);
    expect(report(0n, 0n, PAGE, 64).error).toBe(EINVAL);
    expect(report((1n << 64n) - PAGE, 2n * PAGE, PAGE, 64).error).toBe(EOVERFLOW);
    expect(report(0n, 65n * PAGE, PAGE, 8 + 24 + 15).error).toBe(EINVAL);
    expect(report(0n, 1n << 40n, PAGE, 0xffff_ffff).error).toBe(EINVAL);
    const good = report(0n, 65n * PAGE, PAGE, 8 + 24 + 16);
    expect([good.error, good.body.length, new DataView(good.body.buffer).getUint32(0, true)]).toEqual([0, 48, 48]);
  });
});
