import type { Field, StructLayout } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import type { Capabilities } from "../protocol/capabilities";
import { encodeCapabilities, OWN_CAPABILITIES } from "../protocol/capabilities";
import type { CommandName } from "../protocol/commands";
import { Commands } from "../protocol/commands";
import { HEADER_SIZE } from "../protocol/limits";
import { MessageBuffer } from "../protocol/message-buffer";
import * as structs from "../protocol/structs";
import type { DeviceModel } from "../server/device-model";
import type { ServedDeviceOptions } from "../server/served-device";
import { ServedDevice } from "../server/served-device";
import { ClientSession } from "../server/session/client-session";
import { MessageSocket } from "../socket/message-socket";

/** A body with the given fields, zeros in the others, and what follows them. */
export function body<Fields extends Readonly<Record<string, Field>>>(
  layout: StructLayout<Fields>,
  values: Partial<Record<keyof Fields, number | bigint>>,
  tail: Uint8Array = new Uint8Array(),
): Uint8Array {
  const view = layout.allocate(tail.length);
  for (const [name, value] of Object.entries(values) as [string, number | bigint][]) {
    const field = (layout.fields as Readonly<Record<string, Field>>)[name];
    if (field === undefined) throw new Error(`no field ${name}`);
    if (field.width === 8) field.set(view, BigInt(value));
    else field.set(view, Number(value));
  }
  view.bytes.set(tail, layout.size);
  return view.bytes;
}

/** A whole message. `size` may lie. */
export function messageBytes(
  command: number,
  content: Uint8Array,
  { id = 1, flags = 0, error = 0, size = HEADER_SIZE + content.length } = {},
): Uint8Array {
  const buffer = new MessageBuffer(HEADER_SIZE + content.length);
  buffer.setHeader(id, command, flags, content.length, error);
  structs.header.fields.message_size.set(buffer.header, size);
  buffer.body.bytes.set(content);
  return buffer.bytes.subarray(0, HEADER_SIZE + content.length);
}

export interface RawReply {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  /** 0 if it is no error reply. */
  readonly error: number;
  readonly body: Uint8Array;
  /** Closed with the client, if not before. */
  readonly fds: readonly number[];
}

/** A server, and a client that says exactly what the test wants, on one real socket pair and one thread. */
export class RawClient implements Disposable {
  readonly device: ServedDevice;
  readonly #model: DeviceModel;
  readonly #received: number[] = [];
  #server: { readonly session: ClientSession; readonly socket: MessageSocket };
  #client: MessageSocket;

  constructor(model: DeviceModel, options: ServedDeviceOptions = {}) {
    this.#model = model;
    this.device = new ServedDevice(model, options);
    [this.#server, this.#client] = this.#connect();
  }

  /** True when the server has ended this client's connection. */
  get ended(): boolean {
    return this.#server.session.ended;
  }

  /** Sends raw bytes and lets the server work until it has nothing to do. */
  sendBytes(bytes: Uint8Array, fds: number[] = []): void {
    this.queueBytes(bytes, fds);
    this.work();
  }

  /** Sends raw bytes, which the server meets when it works next. */
  queueBytes(bytes: Uint8Array, fds: number[] = []): void {
    native.sendMessage(this.#client.fd, [bytes], fds, 1000);
  }

  /** Closes the client's end. The server meets the end of the stream when it works next. */
  vanish(): void {
    this.#client.close();
  }

  work(): void {
    const { session } = this.#server;
    for (let more = true; more;) {
      const received = session.receive(0, 0);
      more = this.device.step() || received;
      if (session.stepEnded()) more = true;
    }
  }

  /** The next message from the server; undefined if there is none. */
  receive(): RawReply | undefined {
    if (this.#client.next(0, 0) !== "message") return undefined;
    const { input } = this.#client;
    const fds = this.#client.takeFds() ?? [];
    this.#received.push(...fds);
    const { id, command, flags } = input;
    const error = (flags & structs.FLAG_ERROR) === 0 ? 0 : input.error;
    return { id, command, flags, error, body: input.message().slice(HEADER_SIZE), fds };
  }

  /** The descriptors received so far, which the caller then owns. */
  takeReceived(): number[] {
    return this.#received.splice(0);
  }

  /** Sends a request and returns its reply. */
  ask(
    name: CommandName,
    content: Uint8Array = new Uint8Array(),
    { fds, ...header }: { fds?: number[]; id?: number; flags?: number; size?: number } = {},
  ): RawReply {
    this.sendBytes(messageBytes(Commands[name].number, content, header), fds);
    const reply = this.receive();
    if (reply === undefined) throw new Error(`no reply to ${name}`);
    return reply;
  }

  /** The handshake, by default with QEMU's proposal. */
  greet(capabilities: Capabilities = OWN_CAPABILITIES): this {
    const reply = this.ask("VERSION", body(structs.version, {}, encodeCapabilities(capabilities)));
    if (reply.error !== 0) throw new Error(`greeting refused: ${reply.error}`);
    return this;
  }

  /** Replaces this client by another. */
  reconnect(): this {
    this.#disconnect();
    [this.#server, this.#client] = this.#connect();
    return this;
  }

  [Symbol.dispose](): void {
    this.#disconnect();
    this.device.close();
  }

  #connect(): [{ session: ClientSession; socket: MessageSocket }, MessageSocket] {
    const fds = native.socketpair();
    if (typeof fds === "number") throw new Error(`no socket pair for ${this.#model.name}`);
    const socket = new MessageSocket(fds[1]);
    return [{ session: new ClientSession(socket, this.device), socket }, new MessageSocket(fds[0])];
  }

  #disconnect(): void {
    for (const fd of this.#received.splice(0)) native.close(fd);
    this.#client.close();
    this.work();
    this.#server.session.end();
    this.device.clientGone();
    this.#server.socket.close();
  }
}
