import { constants } from "node:os";
import type { NativeSocket } from "@vfio-selftests/native";
import { native } from "@vfio-selftests/native";
import { HEADER_SIZE, MAX_MESSAGE_FDS, MAX_MESSAGE_SIZE } from "../protocol/limits";
import { MessageBuffer } from "../protocol/message-buffer";
import { header } from "../protocol/structs";

const { EINTR, EAGAIN, ETIMEDOUT } = constants.errno;

/** The result of {@link MessageSocket.next}. */
export type Arrival =
  /** A whole message is in `input`. */
  | "message"
  /** No whole message came in time. The socket keeps the part that came. */
  | "timeout"
  /** The peer has closed, or the connection is broken. */
  | "closed"
  /** The header's size is impossible, so the socket cannot understand what follows. The header is in `input`. */
  | "malformed";

/** How many bytes to ask for when no message has begun, so that several short messages cost one system call. */
const READ_AHEAD = 4096;

const NO_FDS: readonly number[] = [];

interface ArrivedFds {
  /** Where their message begins in the input. */
  readonly position: number;
  readonly fds: number[];
  /** More came than a message may have. The socket closes the surplus. */
  truncated: boolean;
}

/**
 * vfio-user's framing on a Unix stream socket: whole messages with their file descriptors.
 *
 * unix(7) tells which message descriptors belong to. A receive never goes past data that came with descriptors. So the
 * sender sent its descriptors with the last message that begins in the received bytes.
 */
export class MessageSocket {
  /** The current message, valid until the next call of {@link next}. */
  readonly input: MessageBuffer;
  /** Storage for messages that are sent often. Any other buffer can be sent, too. */
  readonly output: MessageBuffer;
  readonly #capacity: number;
  readonly #fd: number;
  readonly #native: NativeSocket;
  /** What the last receive brought: how many descriptors, 1 if there were more, and the descriptors. */
  readonly #received = new Int32Array(2 + MAX_MESSAGE_FDS);
  /** Bytes received, from the start of `input`. */
  #have = 0;
  /** Bytes of the current message. */
  #current = 0;
  #arrivedFds: ArrivedFds[] = [];
  #closed = false;

  /** Owns `fd` from now on. `capacity`: bytes of the longest accepted message. */
  constructor(fd: number, capacity = MAX_MESSAGE_SIZE) {
    this.#fd = fd;
    this.#capacity = capacity;
    this.input = new MessageBuffer(Math.max(capacity, READ_AHEAD));
    this.output = new MessageBuffer(capacity);
    this.#native = native.bindSocket(fd, this.output.bytes, this.input.bytes, this.#received);
  }

  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True when the socket has received a message, or a part of one, that it has not given out yet. */
  get buffered(): boolean {
    return this.#have > this.#current;
  }

  /**
   * Drops the current message and waits for the next one. Spins for at most `spinMicroseconds`, then blocks for at most
   * `timeoutMs`, even when the message comes a byte at a time.
   */
  next(spinMicroseconds: number, timeoutMs: number): Arrival {
    if (this.#closed) return "closed";
    if (this.#current > 0) this.#dropCurrent();
    let left = timeoutMs;
    let deadline: number | undefined;
    for (let pieces = 0; ; pieces += 1) {
      if (this.#have >= HEADER_SIZE) {
        const size = this.input.size;
        if (size < HEADER_SIZE || size > this.#capacity) return "malformed";
        if (this.#have >= size) {
          this.#current = size;
          return "message";
        }
      }
      // Look at the clock only when a message comes in pieces.
      if (pieces > 0 && timeoutMs > 0) {
        const now = performance.now();
        deadline ??= now + timeoutMs;
        left = Math.ceil(deadline - now);
        if (left <= 0) return "timeout";
      }
      const have = this.#have;
      // No further than the message that has begun, so that short messages never pile up.
      const end = have < HEADER_SIZE ? READ_AHEAD : this.input.size;
      const length = this.#native.receive(have, end - have, spinMicroseconds, left);
      if (length > 0) {
        this.#have = have + length;
        if (this.#received[0] !== 0 || this.#received[1] !== 0) this.#keepFds();
      } else if (length === -ETIMEDOUT || length === -EAGAIN || length === -EINTR) {
        return "timeout";
      } else {
        return "closed";
      }
    }
  }

  /** The descriptors that came with the current message, which the caller then owns; undefined if too many came. */
  takeFds(): readonly number[] | undefined {
    if (this.#arrivedFds.length === 0) return NO_FDS;
    const mine = this.#arrivedFds.filter(({ position }) => position < this.#current);
    this.#arrivedFds = this.#arrivedFds.filter(({ position }) => position >= this.#current);
    const fds = mine.flatMap((arrived) => arrived.fds);
    if (!mine.some(({ truncated }) => truncated)) return fds;
    for (const fd of fds) native.close(fd);
    return undefined;
  }

  /**
   * Sends the message in `message`. Returns 0 or `-errno`. Blocks for at most `timeoutMs` when the peer does not read.
   * After a failure the connection is useless, because it may have sent a part.
   */
  send(message: MessageBuffer, fds: readonly number[], timeoutMs: number): number {
    if (message === this.output && fds.length === 0) return this.#native.send(message.size, timeoutMs);
    const result = native.sendMessage(this.#fd, [message.message()], [...fds], timeoutMs);
    return result < 0 ? result : 0;
  }

  /** Closes the socket and all descriptors that nobody took. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { fds } of this.#arrivedFds) for (const fd of fds) native.close(fd);
    this.#arrivedFds = [];
    native.close(this.#fd);
  }

  #keepFds(): void {
    const [count = 0, more] = this.#received;
    const fds = [...this.#received.subarray(2, 2 + count)];
    const position = this.#lastBeginning();
    // A message in pieces may bring descriptors with each piece.
    const before = this.#arrivedFds.findLast((arrived) => arrived.position === position);
    if (before === undefined) {
      this.#arrivedFds.push({ position, fds, truncated: more !== 0 });
      return;
    }
    const room = MAX_MESSAGE_FDS - before.fds.length;
    before.fds.push(...fds.slice(0, room));
    for (const fd of fds.slice(room)) native.close(fd);
    before.truncated ||= more !== 0 || fds.length > room;
  }

  /** The start of the last message that has begun. */
  #lastBeginning(): number {
    const { bytes } = this.input;
    const view = new DataView(bytes.buffer);
    let start = 0;
    for (;;) {
      if (start + HEADER_SIZE > this.#have) return start;
      const size = view.getUint32(start + header.fields.message_size.offset, true);
      const end = start + size;
      if (size < HEADER_SIZE || end >= this.#have) return start;
      start = end;
    }
  }

  #dropCurrent(): void {
    const dropped = this.#current;
    if (this.#have > dropped) this.input.bytes.copyWithin(0, dropped, this.#have);
    this.#have -= dropped;
    this.#current = 0;
    if (this.#arrivedFds.length === 0) return;
    const kept: ArrivedFds[] = [];
    for (const arrived of this.#arrivedFds) {
      if (arrived.position >= dropped) kept.push({ ...arrived, position: arrived.position - dropped });
      else for (const fd of arrived.fds) native.close(fd);
    }
    this.#arrivedFds = kept;
  }
}
