import { VfioError } from "@vfio-selftests/core";
import { native, type NativeIo } from "@vfio-selftests/native";
import type { Peer } from "../conformance/wire/conversation";
import type { MessageBuffer } from "../protocol/message-buffer";
import type { DeviceModel } from "../server/device-model";
import { ServedDevice } from "../server/served-device";
import { ClientSession } from "../server/session/client-session";
import type { SessionSocket } from "../server/session/session-socket";
import { MessageSocket } from "../socket/message-socket";

const MAP_SHARED = 1;

/** A request as it came. */
export interface Heard {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly size: number;
  readonly error: number;
  readonly body: Uint8Array;
  /** How many came along. Infinity: more than a message may have. */
  readonly descriptors: number;
}

/** What is wrong with a server. */
export interface Fault {
  /** Changes the bytes of a reply in place, or gives others. `null`: says nothing. */
  reply?(bytes: Buffer, request: Heard): Buffer | null | undefined;
  /** Answers in the server's place; `null`: says nothing. Undefined leaves the request to the server. */
  answer?(request: Heard): Buffer | null | undefined;
  /** The process is gone for ever when this is true of a request, or of a header that the server refuses. */
  dies?(request: Heard): boolean;
  /** Neither memory nor interrupts of a client are dropped when it goes. */
  readonly keepsClients?: boolean;
  /** Forgets to close descriptors that mean nothing to it. */
  readonly leaksDescriptors?: boolean;
  /** Maps what a client shares, and never unmaps it. */
  readonly keepsMappings?: boolean;
  /** Forgets the device's state when a client goes. */
  readonly forgetsState?: boolean;
  /** Does not send the descriptors of a reply. */
  readonly sendsNoDescriptors?: boolean;
  /** How many clients it serves before it is gone. */
  readonly clients?: number;
}

/** A server on the caller's thread, with a fault. Without one it is this package's own. */
export class FaultyServer implements Disposable {
  readonly #makeModel: () => DeviceModel;
  readonly #fault: Fault;
  #device: ServedDevice;
  readonly #leaked: number[] = [];
  readonly #mappings: NativeIo[] = [];
  #dead = false;
  #served = 0;
  #current: { end(): void } | undefined;

  constructor(makeModel: () => DeviceModel, fault: Fault = {}) {
    this.#makeModel = makeModel;
    this.#fault = fault;
    this.#device = this.#makeDevice();
  }

  readonly connect = (): Peer => {
    this.#served += 1;
    this.#dead ||= this.#served > (this.#fault.clients ?? Infinity);
    if (this.#dead) throw new VfioError("connect: ECONNREFUSED", { code: "ECONNREFUSED", operation: "connect" });
    this.#current?.end();
    const pair = native.socketpair();
    if (typeof pair === "number") throw new Error("no socket pair");
    const socket = new MessageSocket(pair[1]);
    const session = new ClientSession(this.#faulty(socket), this.#device);
    const end = (): void => {
      if (this.#current === undefined) return;
      this.#current = undefined;
      session.end();
      if (this.#fault.keepsClients !== true) this.#device.clientGone();
      if (this.#fault.forgetsState === true) this.#device = this.#makeDevice();
      socket.close();
    };
    this.#current = { end };
    const work = (): void => {
      if (this.#current?.end !== end) return;
      this.#withFaultyClose(() => {
        for (let more = true; more && !session.ended && !this.#dead;) {
          const received = session.receive(0, 0);
          more = this.#device.step() || received;
          if (session.stepEnded()) more = true;
        }
        if (session.ended || this.#dead) end();
      });
    };
    return { fd: pair[0], work };
  };

  [Symbol.dispose](): void {
    this.#current?.end();
    for (const fd of this.#leaked) native.close(fd);
    for (const mapping of this.#mappings) mapping.unmap();
    this.#device.clientGone();
    this.#device.close();
  }

  /** Maps the first page of a file, and keeps the mapping. */
  #keepMapping(fd: number): void {
    const mapping = native.mapIo({ fd, length: 4096, flags: MAP_SHARED });
    if (typeof mapping !== "number") this.#mappings.push(mapping);
  }

  #withFaultyClose(work: () => void): void {
    if (this.#fault.leaksDescriptors !== true) {
      work();
      return;
    }
    const { close } = native;
    const writable = native as { close: typeof close };
    writable.close = (fd) => {
      this.#leaked.push(fd);
      return 0;
    };
    try {
      work();
    } finally {
      writable.close = close;
    }
  }

  #makeDevice(): ServedDevice {
    return new ServedDevice(this.#makeModel(), { onModelError: () => undefined });
  }

  /** The session's socket, with the fault in it. */
  #faulty(socket: MessageSocket): SessionSocket {
    const fault = this.#fault;
    const nothing: Heard = { id: 0, command: 0, flags: 0, size: 0, error: 0, body: new Uint8Array(), descriptors: 0 };
    let request = nothing;
    /** Of the current message. */
    let fds: readonly number[] | undefined = [];
    const say = (bytes: Buffer, fds: readonly number[] = []): number => {
      const sent = native.sendMessage(socket.fd, [bytes], fault.sendsNoDescriptors === true ? [] : [...fds], 1000);
      return Math.min(sent, 0);
    };
    return {
      input: socket.input,
      output: socket.output,
      next: () => {
        for (;;) {
          const arrival = socket.next(0, 0);
          if (arrival !== "message" && arrival !== "malformed") return arrival;
          const { id, command, flags, size, error } = socket.input;
          const body = arrival === "message" ? socket.input.message().slice(16) : new Uint8Array();
          fds = arrival === "message" ? socket.takeFds() : [];
          if (fault.keepsMappings === true) for (const fd of fds ?? []) this.#keepMapping(fd);
          request = { id, command, flags, size, error, body, descriptors: fds?.length ?? Infinity };
          if (fault.dies?.(request) === true) {
            this.#dead = true;
            return "closed";
          }
          const answer = fault.answer?.(request);
          if (answer === undefined) return arrival;
          for (const fd of fds ?? []) native.close(fd);
          if (answer !== null) say(answer);
          if (arrival === "malformed") return "timeout";
        }
      },
      takeFds: () => fds,
      send: (message: MessageBuffer, fds: readonly number[]) => {
        const bytes = Buffer.from(message.message());
        const other = fault.reply?.(bytes, request);
        return other === null ? 0 : say(other ?? bytes, fds);
      },
    };
  }
}
