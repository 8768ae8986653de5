import { native } from "@vfio-selftests/native";
import type { MessageBuffer } from "../../protocol/message-buffer";
import type { SessionSocket } from "../../server/session/session-socket";
import type { Arrival, MessageSocket } from "../../socket/message-socket";
import { isCommand } from "../wire/header-flags";
import type { Entry } from "./client-record";
import type { Scenario } from "./scenario";

const SEND_TIMEOUT_MS = 2_000;
const HEADER = 16;

/** A session's socket that writes down what passes, and lets a scenario change what the client is told. */
export class TappedSocket implements SessionSocket {
  readonly input: MessageBuffer;
  readonly output: MessageBuffer;
  readonly entries: Entry[] = [];
  readonly #socket: MessageSocket;
  readonly #scenario: Scenario;
  #fds: readonly number[] | undefined = [];
  #request: Entry | undefined;
  /** Whether the scenario has ended the conversation. */
  over = false;
  /** Whether the client has closed the connection. */
  closed = false;

  constructor(socket: MessageSocket, scenario: Scenario) {
    this.#socket = socket;
    this.#scenario = scenario;
    this.input = socket.input;
    this.output = socket.output;
  }

  next(spinMicroseconds: number, timeoutMs: number): Arrival {
    for (;;) {
      if (this.over) return "closed";
      const arrival = this.#socket.next(spinMicroseconds, timeoutMs);
      this.closed ||= arrival === "closed";
      if (arrival !== "message") return arrival;
      this.#fds = this.#socket.takeFds();
      const entry = entryOf("client", this.input.message(), this.#fds?.length ?? Infinity);
      this.entries.push(entry);
      if (isCommand(entry)) {
        this.#request = entry;
        return arrival;
      }
      // A reply to what the scenario asked. The session knows nothing of that.
      this.#say(this.#scenario.heard?.(entry) ?? []);
    }
  }

  takeFds(): readonly number[] | undefined {
    return this.#fds;
  }

  send(message: MessageBuffer, fds: readonly number[]): number {
    const bytes = Buffer.from(message.message());
    const request = this.#request;
    const said = request === undefined ? undefined : this.#scenario.reply?.(bytes, request);
    if (said === undefined) {
      const result = this.#write(bytes, fds);
      if (request !== undefined) this.#say(this.#scenario.replied?.(request, bytes) ?? []);
      return result;
    }
    this.#write(said.bytes, []);
    this.over = said.close === true;
    return 0;
  }

  #say(messages: readonly Buffer[]): void {
    for (const bytes of messages) this.#write(bytes, []);
  }

  #write(bytes: Buffer, fds: readonly number[]): number {
    if (bytes.length === 0) return 0;
    if (bytes.length >= HEADER) this.entries.push(entryOf("server", bytes, fds.length));
    const result = Math.min(0, native.sendMessage(this.#socket.fd, [bytes], [...fds], SEND_TIMEOUT_MS));
    // A client may go without reading its replies.
    this.closed ||= result < 0;
    return result;
  }
}

/** A message as an entry of the record. */
export function entryOf(from: Entry["from"], bytes: Uint8Array, descriptors: number): Entry {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    from,
    id: view.getUint16(0, true),
    command: view.getUint16(2, true),
    size: view.getUint32(4, true),
    flags: view.getUint32(8, true),
    error: view.getUint32(12, true),
    body: bytes.slice(HEADER),
    descriptors,
  };
}
