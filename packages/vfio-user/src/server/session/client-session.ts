import { constants } from "node:os";
import { capabilityNames, decodeCapabilities, encodeCapabilities, OWN_CAPABILITIES } from "../../protocol/capabilities";
import { commandOf, Commands } from "../../protocol/commands";
import { HEADER_SIZE, VERSION } from "../../protocol/limits";
import { MessageBuffer } from "../../protocol/message-buffer";
import { shapeError } from "../../protocol/shape";
import * as structs from "../../protocol/structs";
import type { MessageClient } from "../dma/message-dma";
import { MessageDma } from "../dma/message-dma";
import type { ServedDevice } from "../served-device";
import { quirksOf } from "./client-quirks";
import type { Exchange } from "./exchange";
import { closeAll, closeEach, handlerOf } from "./request-handlers";
import type { SessionSocket } from "./session-socket";
import { TwinSocket } from "./twin-socket";

const { EINVAL, ENOSYS } = constants.errno;

/** How long a client may leave our bytes unread, in milliseconds. */
const SEND_TIMEOUT_MS = 5_000;

/** Requests about the device's state as a whole. */
const BETWEEN_STEPS: readonly number[] = [
  Commands.DEVICE_FEATURE.number,
  Commands.MIG_DATA_READ.number,
  Commands.MIG_DATA_WRITE.number,
];

/** The most requests that wait for the end of a step. A client that sends more is not waiting for its replies. */
const MAX_WAITING = 64;

/** With two sockets to watch: how many turns to spin before blocking on the twin, and how long in each. */
const EAGER_TURNS = 40;
const EAGER_SPIN_MICROSECONDS = 5;

/**
 * One client's connection. It answers the client's requests until the client goes or misbehaves beyond repair, or the
 * server ends the session. A wrong request gets an error reply and harms nothing. The session ends the connection when
 * it cannot understand the stream any more (impossible size, neither command nor reply, a reply to nothing), when the
 * version handshake fails, and when the client does not take its replies.
 */
export class ClientSession {
  readonly #socket: SessionSocket;
  readonly #device: ServedDevice;
  readonly #dma: MessageDma;
  /** Known once the two ends have exchanged versions. */
  #client: MessageClient | undefined;
  /**
   * Carries requests to the client, if it asked for that. Otherwise they share the socket of the client's own requests.
   */
  #twin: TwinSocket | undefined;
  #ended = false;
  readonly #exchange: Exchange;
  readonly #fds: number[] = [];
  readonly #replyFds: number[] = [];
  /** Requests that came in the middle of a step and wait for its end, in order. */
  readonly #waiting: { readonly input: MessageBuffer; readonly fds: readonly number[] | undefined }[] = [];

  /** `stopped`: called now and then while the session waits for the client in the middle of a DMA. */
  constructor(socket: SessionSocket, device: ServedDevice, stopped: () => boolean = () => false) {
    this.#socket = socket;
    this.#device = device;
    this.#dma = new MessageDma({
      send: (message, timeoutMs) => (this.#twin ?? socket).send(message, [], timeoutMs),
      receive: (spin, timeout) =>
        this.#twin === undefined ? this.receive(spin, timeout) : this.#receiveEither(timeout),
      end: () => this.end(),
      ended: () => this.#ended || stopped(),
      resets: () => device.resets,
      client: () => this.#client,
    });
    device.dma.peer = this.#dma;
    this.#exchange = {
      device,
      request: socket.input.body,
      requestData: socket.input.data,
      length: 0,
      fds: this.#fds,
      reply: socket.output.body,
      replyData: socket.output.data,
      replyFds: this.#replyFds,
    };
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Ends all traffic with this client. {@link ServedDevice.clientGone} drops its memory and interrupts. */
  end(): void {
    this.#ended = true;
    this.#twin?.close();
    for (const { fds } of this.#waiting.splice(0)) closeEach(fds ?? []);
  }

  /**
   * Serves what had to wait for the end of the model's step: call it after each. A device stops between two steps, and
   * its state and the log of its writes are whole only there. True if there was something.
   */
  stepEnded(): boolean {
    if (this.#waiting.length === 0) return false;
    const waiting = this.#waiting.splice(0);
    for (const { input, fds } of waiting) {
      if (this.#ended) closeEach(fds ?? []);
      else this.#answer(input, { ...this.#exchange, request: input.body, requestData: input.data }, fds);
    }
    return true;
  }

  /** Waits for one message and handles it. True if there was one. */
  receive(spinMicroseconds: number, timeoutMs: number): boolean {
    if (this.#ended) return false;
    switch (this.#socket.next(spinMicroseconds, timeoutMs)) {
      case "timeout":
        return false;
      case "closed":
        this.end();
        return false;
      case "malformed":
        this.#reply(this.#socket.input, -EINVAL);
        this.end();
        return false;
      case "message":
        this.#dispatch();
        return true;
    }
  }

  /**
   * Waits for one message on either socket, in turns, because a wait watches only one. The twin brings the awaited
   * answer.
   */
  #receiveEither(timeoutMs: number): boolean {
    const twin = this.#twin;
    const deadline = performance.now() + timeoutMs;
    for (let turn = 0; twin !== undefined && !this.#ended; turn += 1) {
      const arrival = turn < EAGER_TURNS ? twin.next(EAGER_SPIN_MICROSECONDS, 0) : twin.next(0, 1);
      if (arrival === "message") {
        if (twin.isReply && this.#dma.takeReply(twin.input)) return true;
        this.end();
      } else if (arrival !== "timeout") {
        this.end();
      } else if (this.receive(0, 0)) {
        return true;
      } else if (performance.now() > deadline) {
        return false;
      }
    }
    return false;
  }

  #dispatch(): void {
    const { input } = this.#socket;
    const fds = this.#socket.takeFds();
    const type = input.flags & structs.TYPE_MASK;
    if (type === structs.TYPE_REPLY) {
      closeEach(fds ?? []);
      if (!this.#dma.takeReply(input)) this.end();
      return;
    }
    if (type !== structs.TYPE_COMMAND) {
      closeEach(fds ?? []);
      this.#reply(input, -EINVAL);
      this.end();
      return;
    }
    if (this.#mustWait(input.command)) this.#keep(input, fds);
    else this.#answer(input, this.#exchange, fds);
  }

  #answer(input: MessageBuffer, exchange: Exchange, fds: readonly number[] | undefined): void {
    if (fds !== undefined) for (const fd of fds) this.#fds.push(fd);
    const result = fds === undefined ? -EINVAL : this.#serve(input, exchange);
    if (this.#fds.length > 0) closeAll(this.#fds);
    this.#reply(input, result);
  }

  /** The model is in the middle of a step, and this request, or one before it, has to do with its state as a whole. */
  #mustWait(command: number): boolean {
    return this.#device.dma.allowed && (this.#waiting.length > 0 || BETWEEN_STEPS.includes(command));
  }

  #keep(input: MessageBuffer, fds: readonly number[] | undefined): void {
    if (this.#waiting.length >= MAX_WAITING) {
      closeEach(fds ?? []);
      this.end();
      return;
    }
    const copy = new MessageBuffer(input.size);
    copy.bytes.set(input.message());
    this.#waiting.push({ input: copy, fds });
  }

  /** Returns the bytes of the reply's body, or `-errno`. */
  #serve(input: MessageBuffer, given: Exchange): number {
    // Setting the length of an empty array costs a tenth of a microsecond, too.
    if (this.#replyFds.length > 0) this.#replyFds.length = 0;
    const command = commandOf(input.command);
    if (command === undefined || command.from !== "client")
      return this.#client === undefined ? this.#refuse() : -ENOSYS;
    const length = input.size - HEADER_SIZE;
    const wrong =
      (input.flags & ~structs.FLAGS_KNOWN) !== 0 || (input.flags & structs.FLAG_ERROR) !== 0
        ? "reserved flags"
        : shapeError(command.request, input.body, length);
    if (this.#client === undefined) {
      return wrong === undefined && command.number === Commands.VERSION.number
        ? this.#negotiate(length)
        : this.#refuse();
    }
    const handler = handlerOf(command.number);
    if (wrong !== undefined || handler === undefined) return -EINVAL;
    const exchange = given as { length: number } & Exchange;
    exchange.length = length;
    const { dma } = this.#device;
    // This may run in the middle of a step. A request's callbacks must still not use DMA.
    const allowed = dma.allowed;
    dma.allowed = false;
    try {
      return handler(exchange);
    } finally {
      dma.allowed = allowed;
    }
  }

  /** The first message was not VERSION. The specification has the server close. */
  #refuse(): number {
    this.end();
    return -EINVAL;
  }

  #negotiate(length: number): number {
    const { fields, size } = structs.version;
    const { body } = this.#socket.input;
    const proposal = body.bytes.subarray(size, length);
    const capabilities = decodeCapabilities(proposal);
    if (typeof capabilities === "string" || fields.major.get(body) !== VERSION.major) return this.#refuse();
    this.#client = { maxTransfer: capabilities.maxDataTransfer, ...quirksOf(capabilities) };
    const reply = this.#socket.output.body;
    fields.major.set(reply, VERSION.major);
    fields.minor.set(reply, VERSION.minor);
    if (capabilities.twinSocket !== undefined && capabilities.maxMessageFds > 0) this.#twin = TwinSocket.create();
    const twinSocket = this.#twin?.offer(this.#replyFds);
    // Offer only what the client has proposed.
    const offer = { ...OWN_CAPABILITIES, writeMultiple: capabilities.writeMultiple, twinSocket };
    const text = encodeCapabilities(offer, capabilityNames(proposal));
    reply.bytes.set(text, size);
    return size + text.length;
  }

  /** Answers a message. `result` is the reply's length or `-errno`. */
  #reply({ id, command, flags }: MessageBuffer, result: number): void {
    if ((flags & structs.FLAG_NO_REPLY) !== 0) return;
    const { output } = this.#socket;
    if (result >= 0) output.setHeader(id, command, structs.TYPE_REPLY, result);
    else output.setHeader(id, command, structs.TYPE_REPLY | structs.FLAG_ERROR, 0, -result);
    const sent = this.#socket.send(output, result >= 0 ? this.#replyFds : [], SEND_TIMEOUT_MS);
    this.#twin?.offered();
    if (sent < 0) this.end();
  }
}
