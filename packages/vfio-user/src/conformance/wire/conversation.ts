import { constants } from "node:os";
import { native } from "@vfio-selftests/native";
import { type CommandName, commandName } from "../../protocol/commands";
import { HEADER_SIZE } from "../../protocol/limits";
import { MessageSocket } from "../../socket/message-socket";
import { demand, Departure } from "../check";
import { NO_BYTES } from "./bytes";
import { NUMBERS } from "./commands";
import { isCommand, isError, isReply, NO_REPLY, REPLY, TYPE_MASK } from "./header-flags";
import { frame, type HeaderValues } from "./messages";

/** A connection to a peer. */
export interface Peer {
  /** The socket, which the receiver owns. */
  readonly fd: number;
  /** Lets a peer on this thread work until it has nothing to do. There is no waiting for such a peer. */
  readonly work?: () => void;
  /** Tells servers apart where one ends with its client and another is started: a process id, say. */
  readonly server?: number;
}

/** A message as it came. */
export interface Frame {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly error: number;
  readonly body: Uint8Array;
  /** Closed with the conversation. Undefined when more came than a message may have. */
  readonly fds: readonly number[] | undefined;
}

/** What came: a message, the end of the stream, a header that means nothing, or nothing at all in time. */
export type Arrival = Frame | "closed" | "malformed" | "silence";

const WORDS = {
  closed: "the end of the connection",
  malformed: "a header with an impossible size",
  silence: "nothing",
} as const;

/** How long a peer may take to answer, in milliseconds. */
export const PATIENCE_MS = 5_000;
/** How long nothing must come where nothing may come. */
const QUIET_MS = 200;
const SEND_TIMEOUT_MS = 2_000;

/** The harness's end of one connection. It says what it is told to, right or wrong, and takes apart what comes. */
export class Conversation implements Disposable {
  readonly #peer: Peer;
  readonly #socket: MessageSocket;
  readonly #fds: number[] = [];
  #nextId = 0x1000;
  #over = false;

  constructor(peer: Peer) {
    this.#peer = peer;
    this.#socket = new MessageSocket(peer.fd);
  }

  /** See {@link Peer.server}. */
  get server(): number | undefined {
    return this.#peer.server;
  }

  /** Sends bytes. That a peer has closed shows when one listens. */
  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    native.sendMessage(this.#socket.fd, [bytes], [...fds], SEND_TIMEOUT_MS);
    this.#peer.work?.();
  }

  /** What comes next. */
  listen(timeoutMs = PATIENCE_MS): Arrival {
    const { work } = this.#peer;
    work?.();
    const arrival = this.#socket.next(0, work === undefined ? timeoutMs : 0);
    if (arrival === "timeout") return "silence";
    if (arrival !== "message") return arrival;
    const fds = this.#socket.takeFds();
    if (fds !== undefined) this.#fds.push(...fds);
    const { input } = this.#socket;
    const { id, command, flags, error } = input;
    return { id, command, flags, error, body: input.message().slice(HEADER_SIZE), fds };
  }

  /** What comes next and is not a command of the peer's. */
  listenForReply(): Arrival {
    for (;;) {
      const arrival = this.listen();
      if (typeof arrival === "string" || !isCommand(arrival)) return arrival;
    }
  }

  /** Sends a command and takes its reply, which may be an error, and must be well formed. */
  ask(
    name: CommandName,
    body: Uint8Array = NO_BYTES,
    { fds, ...header }: HeaderValues & { readonly fds?: readonly number[] } = {},
  ): Frame {
    const number = NUMBERS[name];
    const id = header.id ?? this.takeId();
    this.send(frame(number, body, { ...header, id }), fds);
    return this.replyTo(id, number);
  }

  /** Sends a command that says No_reply. */
  post(name: CommandName, body: Uint8Array = NO_BYTES): void {
    this.send(frame(NUMBERS[name], body, { id: this.takeId(), flags: NO_REPLY }));
  }

  /** The reply to a command that was sent. */
  replyTo(id: number, command: number): Frame {
    const arrival = this.listenForReply();
    if (typeof arrival === "string") throw new Departure(`a reply to ${commandName(command)}`, WORDS[arrival]);
    requireReply(arrival, id, command);
    return arrival;
  }

  /** Nothing may come. */
  requireSilence(afterWhat: string): void {
    const arrival = this.listen(QUIET_MS);
    demand(arrival === "silence", `nothing, ${afterWhat}`, describe(arrival));
  }

  /** An id that no other command of this conversation had. */
  takeId(): number {
    this.#nextId = (this.#nextId + 1) & 0xffff;
    return this.#nextId;
  }

  /** Takes a received descriptor, which the caller then owns. */
  take(fd: number): number {
    this.#fds.splice(this.#fds.indexOf(fd), 1);
    return fd;
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    for (const fd of this.#fds) native.close(fd);
    this.#socket.close();
    this.#peer.work?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The section "Header": a reply has the command's number and id, and an error has nothing but the header. */
export function requireReply(reply: Frame, id: number, command: number): void {
  const name = commandName(command);
  const type = reply.flags & TYPE_MASK;
  demand(type === REPLY, `a reply to ${name} (type ${REPLY})`, `a message of type ${type}`);
  demand(reply.command === command, `a reply to ${name}`, `a reply to ${commandName(reply.command)}`);
  demand(reply.id === id, `message id ${id} in the reply to ${name}`, reply.id);
  if (!isError(reply)) return;
  const { length } = reply.body;
  demand(length === 0, `an error reply to ${name} of the header alone`, `${length} bytes behind the header`);
}

/** What arrived, for people. */
export function describe(arrival: Arrival): string {
  if (typeof arrival === "string") return WORDS[arrival];
  const { id, command, error, body } = arrival;
  const kind = isReply(arrival) ? "reply to" : "message";
  if (isError(arrival)) return `an error (${errnoText(error)}) as ${kind} ${commandName(command)}`;
  return `a ${kind} ${commandName(command)}, id ${id}, with ${body.length} bytes behind the header`;
}

export function errnoText(errno: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === errno);
  return found?.[0] ?? `errno ${errno}`;
}
