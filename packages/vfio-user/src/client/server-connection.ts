import { VfioError } from "@vfio-selftests/core";
import { closedError, systemError } from "@vfio-selftests/core/errors";
import type { StructView } from "@vfio-selftests/core/uapi";
import { constants } from "node:os";
import { native } from "@vfio-selftests/native";
import { decodeCapabilities, encodeCapabilities, OWN_CAPABILITIES } from "../protocol/capabilities";
import type { Capabilities } from "../protocol/capabilities";
import { commandName, Commands } from "../protocol/commands";
import type { Command, CommandName } from "../protocol/commands";
import { HEADER_SIZE, MAX_DATA_TRANSFER, MAX_MESSAGE_SIZE, VERSION } from "../protocol/limits";
import { MessageBuffer } from "../protocol/message-buffer";
import { shapeError } from "../protocol/shape";
import * as structs from "../protocol/structs";
import { MessageSocket } from "../socket/message-socket";
import type { ClientMemory } from "./client-memory";

const { EINVAL, EIO, ENOSYS, ECONNRESET, ETIMEDOUT } = constants.errno;

/** How long to look for the reply before sleeping: a register read takes a few microseconds. */
const SPIN_MICROSECONDS = 50;
/** The longest single wait. */
const SLICE_MS = 1_000;

/** What of a command a connection needs. */
type Shapes = Pick<Command, "number" | "reply">;

export interface ConnectionOptions {
  /** How long a server may take for one request, in milliseconds. */
  readonly timeoutMs: number;
  /** How long it may take for the first one: it may have to start. */
  readonly startTimeoutMs: number;
  /** Why the server is gone, when somebody knows. */
  readonly failure: (() => string | undefined) | undefined;
}

/**
 * The client's end of one connection: a request and its reply at a time, blocking, as an ioctl would be. While it waits
 * it serves what the server asks of the client's memory.
 */
export class ServerConnection {
  readonly #socket: MessageSocket;
  readonly #address: string;
  readonly #memory: ClientMemory;
  readonly #options: ConnectionOptions;
  /** Replies to the server's requests: made while a request of ours is under way. */
  readonly #answer = new MessageBuffer(MAX_MESSAGE_SIZE);
  #capabilities: Capabilities = OWN_CAPABILITIES;
  #nextId = 0;
  /** Ids of requests given up; their replies may still come. */
  readonly #givenUp = new Set<number>();
  #broken: string | undefined;
  /** Told when a request of the server's has arrived along with a reply: the socket alone does not show it any more. */
  onRequestWaiting: (() => void) | undefined;

  /** Takes over `fd`, also when it throws. Negotiates version and capabilities. */
  constructor(fd: number, address: string, memory: ClientMemory, options: ConnectionOptions) {
    this.#socket = new MessageSocket(fd);
    this.#address = address;
    this.#memory = memory;
    this.#options = options;
    try {
      this.#capabilities = this.#negotiate();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get fd(): number {
    return this.#socket.fd;
  }

  get closed(): boolean {
    return this.#socket.closed;
  }

  /** What both ends can do. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** Where the next request's body is written. */
  get request(): StructView {
    return this.#socket.output.body;
  }

  /** The body of the last reply; valid until the next request. */
  get reply(): StructView {
    return this.#socket.input.body;
  }

  /**
   * Sends the request in {@link request} and waits for its reply; gives the bytes of the reply's body. `subject`: what it
   * is about, for errors. Descriptors that come with the reply are put into `received`.
   */
  ask(name: CommandName, bodyLength: number, subject = "", fds = NO_FDS, received?: number[]): number {
    const command: Shapes = Commands[name];
    const id = this.#send(command, bodyLength, 0, fds);
    this.#await(command, id, this.#options.timeoutMs);
    return this.#accept(command, subject, received);
  }

  /** Sends the request in {@link request} without wanting a reply. */
  post(name: CommandName, bodyLength: number): void {
    this.#send(Commands[name], bodyLength, structs.FLAG_NO_REPLY, NO_FDS);
  }

  /** Serves what the server has asked of the client's memory so far; does not wait. */
  serveMemory(): void {
    while (!this.#socket.closed && this.#broken === undefined) {
      const arrival = this.#socket.next(0, 0);
      if (arrival === "timeout") return;
      if (arrival !== "message") throw this.#lost("VFIO_USER_DMA_READ", arrival);
      this.#takeUnasked("VFIO_USER_DMA_READ");
    }
  }

  close(): void {
    this.#socket.close();
  }

  #negotiate(): Capabilities {
    const { fields, size } = structs.version;
    const { body } = this.#socket.output;
    fields.major.set(body, VERSION.major);
    fields.minor.set(body, VERSION.minor);
    const text = encodeCapabilities(OWN_CAPABILITIES);
    body.bytes.set(text, size);
    const id = this.#send(Commands.VERSION, size + text.length, 0, NO_FDS);
    this.#await(Commands.VERSION, id, this.#options.startTimeoutMs);
    const length = this.#accept(Commands.VERSION, "", undefined);
    const reply = this.reply;
    const [major, minor] = [fields.major.get(reply), fields.minor.get(reply)];
    if (major !== VERSION.major || minor > VERSION.minor) {
      throw this.#broke("VFIO_USER_VERSION", `answers with version ${major}.${minor}; proposed was 0.0`);
    }
    const capabilities = decodeCapabilities(reply.bytes.subarray(size, length));
    if (typeof capabilities === "string")
      throw this.#broke("VFIO_USER_VERSION", `sends bad capabilities: ${capabilities}`);
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
      // Part of the message may be on its way: the stream is of no use any more.
      this.#broken = "does not take messages";
      throw this.#hung(commandName(command.number), this.#options.timeoutMs);
    }
    throw this.#lost(commandName(command.number), "closed", sent);
  }

  /** Waits until the reply to message `id` is the current message. */
  #await(command: Shapes, id: number, timeoutMs: number): void {
    const socket = this.#socket;
    // The clock is looked at only when the first thing to arrive is not the reply.
    let deadline: number | undefined;
    for (let left = timeoutMs; left > 0;) {
      const wait = Math.min(SLICE_MS, left);
      const arrival = socket.next(SPIN_MICROSECONDS, wait);
      if (arrival === "message") {
        const { input } = socket;
        if (input.id === id && (input.flags & structs.TYPE_MASK) === structs.TYPE_REPLY) return;
        this.#takeUnasked(commandName(command.number));
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

  /** The reply is the current message: checks it, and gives the bytes of its body. */
  #accept(command: Shapes, subject: string, received: number[] | undefined): number {
    const { input } = this.#socket;
    const fds = this.#socket.takeFds();
    if (this.#socket.buffered) this.onRequestWaiting?.();
    const length = input.size - HEADER_SIZE;
    const good = (input.flags & structs.FLAG_ERROR) === 0 && input.command === command.number;
    const wrong =
      good && fds !== undefined ? shapeError(command.reply, input.body, length, fds.length) : "too many descriptors";
    if (wrong === undefined) {
      if (received !== undefined) received.push(...(fds ?? NO_FDS));
      else if (fds !== undefined && fds.length > 0) for (const fd of fds) native.close(fd);
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

  /** The current message is not the reply waited for: a request of the server's, or a late reply. */
  #takeUnasked(operation: string): void {
    const { input } = this.#socket;
    for (const fd of this.#socket.takeFds() ?? []) native.close(fd);
    const type = input.flags & structs.TYPE_MASK;
    if (type === structs.TYPE_REPLY) {
      if (this.#givenUp.delete(input.id)) return;
      throw this.#broke(operation, `answers to message ${input.id}, which was not sent`);
    }
    if (type !== structs.TYPE_COMMAND) throw this.#broke(operation, `sends a message of type ${type}`);
    const { id, command, flags } = input;
    const result = this.#serve();
    if ((flags & structs.FLAG_NO_REPLY) !== 0) return;
    if (result >= 0) this.#answer.setHeader(id, command, structs.TYPE_REPLY, result);
    else this.#answer.setHeader(id, command, structs.TYPE_REPLY | structs.FLAG_ERROR, 0, -result);
    const sent = this.#socket.send(this.#answer, NO_FDS, this.#options.timeoutMs);
    if (sent < 0) throw this.#lost(operation, "closed", sent);
  }

  /** Serves the server's request: bytes of the reply's body, or `-errno`. */
  #serve(): number {
    const { input } = this.#socket;
    const { fields, size } = structs.dma_access;
    const read = input.command === Commands.DMA_READ.number;
    if (!read && input.command !== Commands.DMA_WRITE.number) return -ENOSYS;
    const shape = read ? Commands.DMA_READ.request : Commands.DMA_WRITE.request;
    if (shapeError(shape, input.body, input.size - HEADER_SIZE, 0) !== undefined) return -EINVAL;
    const count = fields.count.getNumber(input.body);
    if (count > MAX_DATA_TRANSFER) return -EINVAL;
    const address = fields.address.get(input.body);
    const answer = this.#answer.body;
    const data = (read ? answer : input.body).bytes.subarray(size, size + count);
    const error = this.#memory.transfer(read ? "read" : "write", address, data);
    if (error !== 0) return -error;
    fields.address.set(answer, address);
    fields.count.setNumber(answer, count);
    return read ? size + count : size;
  }

  #hung(operation: string, timeoutMs: number): VfioError {
    return new VfioError(`${operation} on ${this.#address}: no answer within ${timeoutMs} ms`, {
      code: "ETIMEDOUT",
      errno: ETIMEDOUT,
      operation,
      subject: this.#address,
      remedy: "a server serves one client at a time: close the other one; or the server hangs: start it again",
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

  /** The server breaks the protocol, or has before: nothing more can be said to it. */
  #broke(operation: string, what: string): VfioError {
    this.#broken = what;
    return new VfioError(`${operation}: the server of ${this.#address} ${what}`, {
      code: "EPROTO",
      errno: constants.errno.EPROTO,
      operation,
      subject: this.#address,
      remedy: "close the device; the server does not follow the vfio-user protocol, or has gone",
    });
  }
}

const NO_FDS: readonly number[] = [];
