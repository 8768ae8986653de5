import type { Field } from "@vfio-selftests/core/uapi";
import { encodeCapabilities, OWN_CAPABILITIES } from "../protocol/capabilities";
import type { Command } from "../protocol/commands";
import { Commands } from "../protocol/commands";
import { HEADER_SIZE } from "../protocol/limits";
import type { MessageBuffer } from "../protocol/message-buffer";
import * as structs from "../protocol/structs";
import { Scratch } from "./scratch-model";

/** A small fast generator of pseudo-random numbers (xorshift32). The same seed gives the same messages. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.u32() % limit;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }
}

/** Numbers at which errors are likely. */
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 24, 31, 32, 33, 40, 63, 64, 4095, 4096, 8192, 0x7fff_ffff, 0x8000_0000, 0xffff_f000,
  0xffff_ffff,
];
const WIDE_EDGES = [
  ...EDGES.map(BigInt),
  1n << 32n,
  1n << 52n,
  1n << 53n,
  1n << 63n,
  (1n << 64n) - 4096n,
  (1n << 64n) - 1n,
];
const REGISTERS = [
  Scratch.source,
  Scratch.destination,
  Scratch.size,
  Scratch.command,
  Scratch.command,
  Scratch.portal,
  0,
];
const commands: readonly Omit<Command, "name">[] = Object.values(Commands);
/** What clients propose: QEMU, and a client that knows only the specification. */
const PROPOSALS = [OWN_CAPABILITIES, { ...OWN_CAPABILITIES, writeMultiple: false }].map((capabilities) =>
  encodeCapabilities(capabilities),
);
const TWIN_PROPOSAL = encodeCapabilities({ ...OWN_CAPABILITIES, twinSocket: { fdIndex: undefined } });

/**
 * Messages that a client might send: many right ones, many with one thing wrong, some pure noise. Each call writes one
 * into `buffer` and returns how many descriptors go with it.
 */
export class MessageGenerator {
  readonly #random: Random;
  readonly #buffer: MessageBuffer;
  /** Whether the last greeting asked for a twin socket. */
  askedForTwin = false;

  constructor(random: Random, buffer: MessageBuffer) {
    this.#random = random;
    this.#buffer = buffer;
  }

  greeting(): number {
    const { body } = this.#buffer;
    this.askedForTwin = this.#random.chance(3);
    const text = this.askedForTwin ? TWIN_PROPOSAL : this.#random.pick(PROPOSALS);
    structs.version.fields.major.set(body, 0);
    structs.version.fields.minor.set(body, 0);
    body.bytes.set(text, structs.version.size);
    this.#buffer.setHeader(1, Commands.VERSION.number, 0, structs.version.size + text.length);
    return 0;
  }

  any(): number {
    const random = this.#random;
    const kind = random.below(200);
    if (kind < 60) return this.#plausibleAccess();
    if (kind < 100) return this.#plausibleMap();
    if (kind < 120) return this.#plausibleIrqs();
    if (kind < 199) return this.#oneThingWrong();
    return this.#noise();
  }

  /** A reply to a DMA message of the server's, right in most cases. */
  reply(id: number, command: number, count: number): number {
    const [random, buffer] = [this.#random, this.#buffer];
    const read = command === Commands.DMA_READ.number;
    const data = read ? Math.min(count, 65536) : 0;
    const wrong = random.chance(5) ? random.below(64) - 32 : 0;
    const length = Math.max(0, structs.dma_access.size + data + wrong);
    const error = random.chance(20) || count > 65536;
    buffer.setHeader(
      id,
      random.chance(2) ? random.u32() & 0xffff : command,
      structs.TYPE_REPLY | (error ? structs.FLAG_ERROR : 0),
      error ? 0 : length,
      error ? random.pick([0, 1, 14, 22]) : 0,
    );
    return random.chance(1) ? 1 : 0;
  }

  #header(command: number, length: number): void {
    const noReply = this.#random.chance(10) ? structs.FLAG_NO_REPLY : 0;
    this.#buffer.setHeader(this.#random.u32() & 0xffff, command, noReply, length);
  }

  /** An access to the scratch device, often one that starts a copy. */
  #plausibleAccess(): number {
    const [random, buffer] = [this.#random, this.#buffer];
    const { fields, size } = structs.region_access;
    const write = random.chance(60);
    const register = random.pick(REGISTERS);
    const count = register === Scratch.portal ? 64 : register === Scratch.command ? 4 : 8;
    fields.offset.setNumber(buffer.body, register);
    fields.region.set(buffer.body, 0);
    fields.count.set(buffer.body, count);
    buffer.body.bytes.fill(0, size, size + count);
    buffer.body.u32[size / 4] = register === Scratch.command ? random.below(5) : random.below(0x20) * 0x800;
    this.#header(write ? Commands.REGION_WRITE.number : Commands.REGION_READ.number, write ? size + count : size);
    return 0;
  }

  #plausibleMap(): number {
    const [random, buffer] = [this.#random, this.#buffer];
    const map = random.chance(55);
    const layout = map ? structs.dma_map : structs.dma_unmap;
    buffer.clearBody(layout.size);
    layout.fields.argsz.set(buffer.body, layout.size);
    layout.fields.address.set(buffer.body, BigInt(random.below(64)) * 4096n);
    layout.fields.size.set(buffer.body, BigInt(1 + random.below(16)) * 4096n);
    if (map) {
      structs.dma_map.fields.flags.set(
        buffer.body,
        1 + random.below(3) + (random.chance(10) ? structs.DMA_MAP_FILE_IO : 0),
      );
      if (random.chance(10)) structs.dma_map.fields.offset.set(buffer.body, BigInt(random.u32()) * 4096n);
    } else if (random.chance(2)) {
      buffer.clearBody(layout.size);
      structs.dma_unmap.fields.flags.set(buffer.body, structs.DMA_UNMAP_ALL);
    }
    this.#header(map ? Commands.DMA_MAP.number : Commands.DMA_UNMAP.number, layout.size);
    return map && random.chance(50) ? 1 : 0;
  }

  #plausibleIrqs(): number {
    const [random, buffer] = [this.#random, this.#buffer];
    const { fields, size } = structs.irq_set;
    const count = random.below(4);
    const connect = random.chance(60);
    fields.argsz.set(buffer.body, size);
    fields.flags.set(buffer.body, connect ? 0x24 : random.pick([0x21, 0x9, 0x11, 0x22, 0x0c]));
    fields.index.set(buffer.body, random.pick([0, 2, 2, 2]));
    fields.start.set(buffer.body, count === 0 ? 0 : random.below(3));
    fields.count.set(buffer.body, count);
    this.#header(Commands.DEVICE_SET_IRQS.number, size);
    return connect && random.chance(80) ? count : 0;
  }

  #oneThingWrong(): number {
    const [random, buffer] = [this.#random, this.#buffer];
    const command = random.pick(commands);
    const { request } = command;
    const fields: readonly Field[] = Object.values(request.fixed.fields);
    buffer.clearBody(request.fixed.size + 64);
    for (const field of fields) {
      if (field.width === 8) field.set(buffer.body, random.pick(WIDE_EDGES));
      else field.set(buffer.body, random.chance(80) ? random.pick(EDGES) : random.u32());
    }
    const { tail } = request;
    let length = request.fixed.size;
    if (tail.kind === "open" || tail.kind === "ignored") length += random.below(40);
    if (tail.kind === "counted") {
      const count = random.below(random.chance(1) ? 5000 : 40);
      if (tail.field.width === 8) tail.field.setNumber(buffer.body, count);
      else tail.field.set(buffer.body, count);
      length += count * tail.size;
    }
    if (random.chance(10)) length = Math.max(0, length + random.below(17) - 8);
    this.#header(command.number, length);
    if (random.chance(1)) buffer.header.u32[2] = random.chance(50) ? random.u32() : random.below(64);
    if (random.below(500) === 0) buffer.header.u32[1] = random.pick(EDGES);
    return random.chance(15) ? random.below(18) : random.below(request.fds + 1);
  }

  #noise(): number {
    const [random, buffer] = [this.#random, this.#buffer];
    const length = random.below(200);
    for (let i = 0; i < 4 + length / 4; i += 1) buffer.header.u32[i % 4] = random.u32();
    for (let i = 0; i < length / 4; i += 1) buffer.body.u32[i] = random.u32();
    if (random.chance(90)) buffer.header.u32[1] = HEADER_SIZE + length;
    return random.below(3);
  }
}
