import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { Commands } from "../protocol/commands";
import { HEADER_SIZE, MAX_MESSAGE_SIZE } from "../protocol/limits";
import { MessageBuffer } from "../protocol/message-buffer";
import * as structs from "../protocol/structs";
import { ServedDevice } from "../server/served-device";
import { ClientSession } from "../server/session/client-session";
import type { SessionSocket } from "../server/session/session-socket";
import type { Arrival } from "../socket/message-socket";
import { MessageGenerator, Random } from "./random-messages";
import { ScratchModel } from "./scratch-model";

/** The results of a run of generated messages. */
export interface FuzzResult {
  readonly messages: number;
  readonly sessions: number;
  readonly replies: number;
  readonly dmaRequests: number;
  readonly mostMaps: number;
  /** Every rule that the server broke. */
  readonly complaints: readonly string[];
}

/** Descriptors that clients might send: sealed and unsealed memory, an eventfd, and things that are neither. */
function fdPool(): number[] {
  const sealed = native.memfdCreate("sealed", 2);
  native.ftruncate(sealed, 16 * 4096);
  native.fcntl(sealed, 1033, 2);
  const unsealed = native.memfdCreate("unsealed", 2);
  native.ftruncate(unsealed, 16 * 4096);
  const immense = native.memfdCreate("immense", 2);
  native.ftruncate(immense, 2 ** 44);
  native.fcntl(immense, 1033, 2);
  const huge = native.memfdCreate("huge", 2 | 4);
  if (huge >= 0) native.ftruncate(huge, 2 ** 21);
  return [
    sealed,
    sealed,
    sealed,
    unsealed,
    immense,
    huge >= 0 ? huge : sealed,
    native.eventfd(0, 0o4000),
    native.eventfd(0, 0),
    native.open("/dev/null", 2),
  ];
}

/** One buffer for all sessions, because a megabyte for each would be most of the work. */
const INPUT = new MessageBuffer(MAX_MESSAGE_SIZE);
const OUTPUT = new MessageBuffer(MAX_MESSAGE_SIZE);

/** Hands generated messages to a session, and checks its answers. */
class GeneratedSocket implements SessionSocket {
  readonly input = INPUT;
  readonly output = OUTPUT;
  readonly #random: Random;
  readonly #generator: MessageGenerator;
  readonly #pool: readonly number[];
  #fds: number[] = [];
  #truncated = false;
  /** The server's request that awaits an answer. */
  #asked: { readonly id: number; readonly command: number; readonly count: number } | undefined;
  /** Messages that may get an answer, in order. Requests about the device's state wait for the end of a step. */
  readonly #unanswered: { readonly id: number; readonly command: number }[] = [];
  greeted = false;
  messages = 0;
  replies = 0;
  dmaRequests = 0;
  readonly complaints: string[] = [];

  constructor(random: Random, pool: readonly number[]) {
    this.#random = random;
    this.#generator = new MessageGenerator(random, this.input);
    this.#pool = pool;
  }

  next(): Arrival {
    for (const fd of this.#fds) native.close(fd);
    this.#fds = [];
    const random = this.#random;
    if (random.below(2000) === 0) return "closed";
    if (this.#asked === undefined && random.chance(1)) return "timeout";
    this.messages += 1;
    const fds = this.#generate();
    const { id, command, size, flags } = this.input;
    const malformed = size < HEADER_SIZE || size > MAX_MESSAGE_SIZE;
    const type = flags & structs.TYPE_MASK;
    if ((flags & structs.FLAG_NO_REPLY) === 0 && (malformed || type !== structs.TYPE_REPLY)) {
      // The server answers a message that ends the session at once.
      if (malformed || type !== structs.TYPE_COMMAND) this.#unanswered.length = 0;
      this.#unanswered.push({ id, command });
    }
    this.#truncated = fds > 16;
    for (let i = 0; i < Math.min(fds, 16); i += 1) this.#fds.push(native.dup(random.pick(this.#pool)));
    return malformed ? "malformed" : "message";
  }

  takeFds(): number[] | undefined {
    const fds = this.#fds;
    this.#fds = [];
    if (!this.#truncated) return fds;
    for (const fd of fds) native.close(fd);
    return undefined;
  }

  send(message: MessageBuffer, fds: readonly number[]): number {
    const { id, command, size, flags, body } = message;
    if (size < HEADER_SIZE || size > MAX_MESSAGE_SIZE) this.complaints.push(`a size of ${size}`);
    if (fds.length > 0 && !this.#generator.askedForTwin) this.complaints.push("descriptors");
    if ((flags & structs.TYPE_MASK) === structs.TYPE_REPLY) {
      this.replies += 1;
      const awaited = this.#unanswered.shift();
      if (awaited === undefined) this.complaints.push("a reply that nobody wants");
      else if (id !== awaited.id || command !== awaited.command) this.complaints.push("a reply to something else");
      if ((flags & structs.FLAG_ERROR) !== 0 && (size !== HEADER_SIZE || message.error === 0)) {
        this.complaints.push("an error reply with a body, or without an errno");
      }
    } else {
      this.dmaRequests += 1;
      const count = structs.dma_access.fields.count.getNumber(body) >= 2 ** 32 ? 2 ** 32 : (body.u32[2] ?? 0);
      this.#asked = { id, command, count };
      if (command !== Commands.DMA_READ.number && command !== Commands.DMA_WRITE.number)
        this.complaints.push("a strange request");
    }
    return this.#random.below(5000) === 0 ? -32 : 0;
  }

  #generate(): number {
    if (!this.greeted && this.#random.chance(95)) {
      this.greeted = true;
      return this.#generator.greeting();
    }
    const asked = this.#asked;
    if (asked === undefined || this.#random.chance(30)) return this.#generator.any();
    this.#asked = undefined;
    return this.#generator.reply(asked.id, asked.command, asked.count);
  }
}

/**
 * Serves generated messages for one device, one client after the other. The same `seed` gives the same messages.
 * `progress` is called now and then with their number. A server that leaves descriptors or mappings behind is a
 * complaint.
 */
export async function fuzzSessions(
  most: number,
  seed: number,
  progress: (messages: number) => void = () => undefined,
): Promise<FuzzResult> {
  const pool = fdPool();
  const before = openDescriptors();
  const random = new Random(seed);
  const device = new ServedDevice(new ScratchModel(), { onModelError: () => undefined });
  let [sessions, messages, replies, dmaRequests, mostMaps] = [0, 0, 0, 0, 0];
  const complaints = new Set<string>();
  while (messages < most) {
    const socket = new GeneratedSocket(random, pool);
    const session = new ClientSession(socket, device);
    sessions += 1;
    while (!session.ended) {
      session.receive(0, 0);
      // Bounded: a copy of at most 64 KiB is a slice or two.
      for (let slices = 0; device.step(); slices += 1) if (slices > 1000) throw new Error("endless step");
      mostMaps = Math.max(mostMaps, device.maps.size);
      session.stepEnded();
    }
    device.clientGone();
    socket.takeFds()?.forEach((fd) => native.close(fd));
    messages += socket.messages;
    replies += socket.replies;
    dmaRequests += socket.dmaRequests;
    for (const complaint of socket.complaints) complaints.add(complaint);
    if (sessions % 100 !== 0) continue;
    progress(messages);
    await setImmediate(); // native code releases what it held here
  }
  if (device.maps.size > 0) complaints.add(`${device.maps.size} DMA maps are left`);
  if (openDescriptors() !== before) complaints.add(`${openDescriptors() - before} descriptors are left`);
  if (readFileSync("/proc/self/maps", "utf8").includes("memfd:")) complaints.add("files are left mapped");
  for (const fd of new Set(pool)) native.close(fd);
  return { messages, sessions, replies, dmaRequests, mostMaps, complaints: [...complaints] };
}
