import { constants } from "node:os";
import { VfioError } from "@vfio-selftests/core";
import { closedError, systemError } from "@vfio-selftests/core/errors";
import type { StructView } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import type { Capabilities } from "../protocol/capabilities";
import { decodeCapabilities, encodeCapabilities, OWN_CAPABILITIES } from "../protocol/capabilities";
import type { Command, CommandName } from "../protocol/commands";
import { commandName, Commands } from "../protocol/commands";
import { HEADER_SIZE, MAX_DATA_TRANSFER, VERSION } from "../protocol/limits";
import { shapeError } from "../protocol/shape";
import * as structs from "../protocol/structs";
import type { Arrival } from "../socket/message-socket";
import { MessageSocket } from "../socket/message-socket";
import type { ClientMemory } from "./client-memory";
import { MemoryRequests } from "./memory-requests";

const { EIO, ECONNRESET, ETIMEDOUT } = constants.errno;

/** How long to look for the reply before sleeping. A register read takes a few microseconds. */
const SPIN_MICROSECONDS = 50;
/** The longest single wait. */
const SLICE_MS = 1_000;
/** With a twin socket to watch as well: how many turns to spin before blocking, and how long in each. */
const EAGER_TURNS = 40;
/** How many replies to take before looking at the twin, because each look is a system call. */
const UNLOOKED_REPLIES = 8;
/**
 * How many of the server's requests to serve before looking at the clock and the other socket: they may never pause.
 */
const MOST_SERVED = 64;
const EAGER_SPIN_MICROSECONDS = 5;

/** The parts of a command that a connection needs. */
type Shapes = Pick<Command, "number" | "reply">;

export interface ConnectionOptions {
  /** How long a server may take to answer one request, in milliseconds. */
  readonly timeoutMs: number;
  /** How long it may take for the first one, because it may have to start. */
  readonly startTimeoutMs: number;
  /** Why the server has gone, if somebody knows. */
  readonly failure: (() => string | undefined) | undefined;
}

/**
 * The client's end of one connection. It sends one request at a time and waits for its reply, blocking like an ioctl.
 * While it waits, it answers the server's requests for the client's memory.
 */
export class ServerConnection {
  readonly #socket: MessageSocket;
  readonly #address: string;
  readonly #requests: MemoryRequests;
  readonly #options: ConnectionOptions;
  /** Carries the server's requests, if the server set up a socket for them. Otherwise they come with the replies. */
  #twin: MessageSocket | undefined;
  /** How many replies have come since the last look at the twin. */
  #unlooked = 0;
  #capabilities: Capabilities = OWN_CAPABILITIES;
  #nextId = 0;
  /** Ids of abandoned requests. Their replies may still come. */
  readonly #givenUp = new Set<number>();
  #broken: string | undefined;
  /** Called when a server's request has arrived along with a reply, because the socket alone no longer shows it. */
  onRequestWaiting: (() => void) | undefined;

  /** Owns `fd` from now on, even if it throws. Negotiates version and capabilities. */
  constructor(fd: number, address: string, memory: ClientMemory, options: ConnectionOptions) {
    this.#socket = new MessageSocket(fd);
    this.#address = address;
    this.#requests = new MemoryRequests(memory);
    this.#options = options;
    try {
      this.#capabilities = this.#negotiate();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The descriptor on which the server's requests arrive. */
  get requestFd(): number {
    return (this.#twin ?? this.#socket).fd;
  }

  get closed(): boolean {
    return this.#socket.closed;
  }

  /** What both ends support. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** The place for the next request's body. */
  get request(): StructView {
    return this.#socket.output.body;
  }

  /** The body of the last reply. Valid until the next request. */
  get reply(): StructView {
    return this.#socket.input.body;
  }

  /**
   * Sends the request in {@link request} and waits for its reply. Returns how many bytes the reply's body has.
   * `subject`: what the request is about, for errors. Descriptors that come with the reply go into `received`.
   */
  ask(name: CommandName, bodyLength: number, subject = "", fds = NO_FDS, received?: number[]): number {
    const command: Shapes = Commands[name];
    const id = this.#send(command, bodyLength, 0, fds);
    this.#await(command, id, this.#options.timeoutMs);
    return this.#accept(command, subject, received);
  }

  /** Sends the request in {@link request} without asking for a reply. */
  post(name: CommandName, bodyLength: number): void {
    this.#send(Commands[name], bodyLength, structs.FLAG_NO_REPLY, NO_FDS);
  }

  /** Answers the server's requests for the client's memory that have arrived. Does not wait. */
  serveMemory(): void {
    this.#serveWaiting(this.#twin ?? this.#socket, Commands.DMA_READ);
  }

  close(): void {
    this.#twin?.close();
    this.#socket.close();
  }

  #negotiate(): Capabilities {
    const { fields, size } = structs.version;
    const { body } = this.#socket.output;
    fields.major.set(body, VERSION.major);
    fields.minor.set(body, VERSION.minor);
    const text = encodeCapabilities({ ...OWN_CAPABILITIES, twinSocket: { fdIndex: undefined } });
    body.bytes.set(text, size);
    const id = this.#send(Commands.VERSION, size + text.length, 0, NO_FDS);
    this.#await(Commands.VERSION, id, this.#options.startTimeoutMs);
    const fds: number[] = [];
    const length = this.#accept(Commands.VERSION, "", fds);
    try {
      return this.#checkVersion(length, fds);
    } finally {
      for (const fd of fds) native.close(fd);
    }
  }

  /** Checks the current message, the reply to VERSION. Takes the twin socket out of `fds`. */
  #checkVersion(length: number, fds: number[]): Capabilities {
    const { fields, size } = structs.version;
    const reply = this.reply;
    const [major, minor] = [fields.major.get(reply), fields.minor.get(reply)];
    if (major !== VERSION.major || minor > VERSION.minor) {
      throw this.#broke("VFIO_USER_VERSION", `answers with version ${major}.${minor}; the client proposed 0.0`);
    }
    const capabilities = decodeCapabilities(reply.bytes.subarray(size, length));
    if (typeof capabilities === "string")
      throw this.#broke("VFIO_USER_VERSION", `sends bad capabilities: ${capabilities}`);
    if (capabilities.twinSocket !== undefined) {
      const [fd] = fds.splice(capabilities.twinSocket.fdIndex ?? fds.length, 1);
      if (fd === undefined) throw this.#broke("VFIO_USER_VERSION", "offers a twin socket without its descriptor");
      this.#twin = new MessageSocket(fd);
    }
    return { ...capabilities, maxDataTransfer: Math.min(capabilities.maxDataTransfer, MAX_DATA_TRANSFER) };
  }

  #send(command: Shapes, bodyLength: number, flags: number, fds: readonly number[]): number {
    const socket = this.#socket;
    if (socket.closed) throw closedError(commandName(command.number), this.#address);
    if (this.#broken !== undefined) throw this.#broke(commandName(command.number), this.#broken);
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    socket.output.setHeader(id, command.number, structs.TYPE_COMMAND | flags, bodyLength);
    const sent = socket.send(socket.output, fds, this.#options.timeoutMs);
    if (sent === 0) return id;
    if (sent === -ETIMEDOUT) {
      // Part of the message may be on its way, so the stream is useless from now on.
      this.#broken = "does not take messages";
      throw this.#hung(commandName(command.number), this.#options.timeoutMs);
    }
    throw this.#lost(commandName(command.number), "closed", sent);
  }

  /** Waits until the reply to message `id` is the current message. */
  #await(command: Shapes, id: number, timeoutMs: number): void {
    const socket = this.#socket;
    // Look at the clock only when the first arrival is not the reply.
    let deadline: number | undefined;
    for (let left = timeoutMs; left > 0;) {
      const wait = Math.min(SLICE_MS, left);
      const arrival = this.#receive(command, wait);
      if (arrival === "message") {
        const { input } = socket;
        if (input.id === id && (input.flags & structs.TYPE_MASK) === structs.TYPE_REPLY) return;
        this.#takeUnasked(socket, command);
        deadline ??= performance.now() + left;
        left = Math.min(left, Math.ceil(deadline - performance.now()));
      } else if (arrival === "timeout") {
        left -= wait;
      } else {
        throw this.#lost(commandName(command.number), arrival);
      }
    }
    this.#givenUp.add(id);
    throw this.#hung(commandName(command.number), timeoutMs);
  }

  /** Waits for a message on the main socket. Meanwhile it serves the server's requests on the twin. */
  #receive(command: Shapes, timeoutMs: number): Arrival {
    const twin = this.#twin;
    if (twin === undefined) return this.#socket.next(SPIN_MICROSECONDS, timeoutMs);
    // Replies that are always there at once must not make the server's requests wait for ever.
    this.#unlooked += 1;
    if (this.#unlooked >= UNLOOKED_REPLIES) this.#serveWaiting(twin, command);
    let arrival = this.#socket.next(SPIN_MICROSECONDS, 0);
    // Look at the clock only when the reply is not there at once.
    const deadline = arrival === "timeout" ? performance.now() + timeoutMs : 0;
    for (let turn = 0; arrival === "timeout"; turn += 1) {
      if (this.#serveWaiting(twin, command)) turn = 0;
      if (performance.now() >= deadline) break;
      arrival = turn < EAGER_TURNS ? this.#socket.next(EAGER_SPIN_MICROSECONDS, 0) : this.#socket.next(0, 1);
    }
    return arrival;
  }

  /** Serves the server's requests that have arrived, at most {@link MOST_SERVED}. Returns whether there were any. */
  #serveWaiting(socket: MessageSocket, command: Shapes): boolean {
    this.#unlooked = 0;
    for (let served = 0; ; served += 1) {
      if (socket.closed || this.#broken !== undefined) return served > 0;
      if (served >= MOST_SERVED) {
        // The socket alone does not show messages that were read ahead.
        if (socket.buffered) this.onRequestWaiting?.();
        return true;
      }
      const arrival = socket.next(0, 0);
      if (arrival === "timeout") return served > 0;
      if (arrival !== "message") throw this.#lost(commandName(command.number), arrival);
      this.#takeUnasked(socket, command);
    }
  }

  /** Checks the current message, which is the reply. Returns how many bytes its body has. */
  #accept(command: Shapes, subject: string, received: number[] | undefined): number {
    const { input } = this.#socket;
    const fds = this.#socket.takeFds();
    if (this.#socket.buffered) this.onRequestWaiting?.();
    const length = input.size - HEADER_SIZE;
    const good = (input.flags & structs.FLAG_ERROR) === 0 && input.command === command.number;
    const wrong = good && fds !== undefined ? shapeError(command.reply, input.body, length) : "too many descriptors";
    if (wrong === undefined) {
      if (fds === undefined || fds.length === 0) return length;
      const wanted = received === undefined ? 0 : command.reply.fds;
      received?.push(...fds.slice(0, wanted));
      for (const fd of fds.slice(wanted)) native.close(fd);
      return length;
    }
    for (const fd of fds ?? NO_FDS) native.close(fd);
    const operation = commandName(command.number);
    if (input.command !== command.number) throw this.#broke(operation, `answers with ${commandName(input.command)}`);
    if (good) throw this.#broke(operation, `sends a bad reply: ${wrong}`);
    throw systemError(-(input.error === 0 ? EIO : input.error), operation, {
      subject: subject === "" ? this.#address : `${this.#address}, ${subject}`,
    });
  }

  /** Handles a current message that is not the awaited reply: a request of the server's, or a late reply. */
  #takeUnasked(socket: MessageSocket, { number }: Shapes): void {
    const operation = commandName(number);
    const { input } = socket;
    for (const fd of socket.takeFds() ?? []) native.close(fd);
    const type = input.flags & structs.TYPE_MASK;
    if (type === structs.TYPE_REPLY) {
      if (this.#givenUp.delete(input.id)) return;
      throw this.#broke(operation, `answers to message ${input.id}, which the client did not send`);
    }
    if (type !== structs.TYPE_COMMAND) throw this.#broke(operation, `sends a message of type ${type}`);
    const answer = this.#requests.serve(input);
    if (answer === undefined) return;
    const sent = socket.send(answer, NO_FDS, this.#options.timeoutMs);
    if (sent < 0) throw this.#lost(operation, "closed", sent);
  }

  #hung(operation: string, timeoutMs: number): VfioError {
    return new VfioError(`${operation} on ${this.#address}: no answer within ${timeoutMs} ms`, {
      code: "ETIMEDOUT",
      errno: ETIMEDOUT,
      operation,
      subject: this.#address,
      remedy: "close the other client (a server serves one client at a time), or start a hung server again",
    });
  }

  #lost(operation: string, arrival: "closed" | "malformed", result = -ECONNRESET): VfioError {
    if (arrival === "malformed") return this.#broke(operation, `sends a message of ${this.#socket.input.size} bytes`);
    const why = this.#options.failure?.();
    this.#broken = why ?? "has gone";
    return systemError(result, operation, {
      subject: this.#address,
      message: `${operation}: the server of ${this.#address} has gone${why === undefined ? "" : `: ${why}`}`,
      remedy: "start the server again, and open the device anew",
    });
  }

  /** The server breaks the protocol, or did so before. The client can tell it nothing more. */
  #broke(operation: string, what: string): VfioError {
    this.#broken = what;
    return new VfioError(`${operation}: the server of ${this.#address} ${what}`, {
      code: "EPROTO",
      errno: constants.errno.EPROTO,
      operation,
      subject: this.#address,
      remedy: "close the device: the server has gone, or breaks the vfio-user protocol",
    });
  }
}

const NO_FDS: readonly number[] = [];
