import { native } from "@vfio-selftests/native";
import { encodeCapabilities, OWN_CAPABILITIES } from "../protocol/capabilities";
import type { CommandName } from "../protocol/commands";
import { Commands } from "../protocol/commands";
import * as structs from "../protocol/structs";
import { MessageSocket } from "../socket/message-socket";
import { body, messageBytes } from "./raw-client";

/**
 * A proper server's replies. A client numbers its messages from 0 on, so the replies can be there before the requests.
 */
export function reply(id: number, name: CommandName, content: Uint8Array = new Uint8Array(), error = 0): Uint8Array {
  const flags = structs.TYPE_REPLY | (error === 0 ? 0 : structs.FLAG_ERROR);
  return messageBytes(Commands[name].number, content, { id, flags, error });
}

export const greeting = (capabilities = OWN_CAPABILITIES): Uint8Array =>
  reply(0, "VERSION", body(structs.version, {}, encodeCapabilities(capabilities)));

export const info = (): Uint8Array =>
  reply(1, "DEVICE_GET_INFO", body(structs.device_info, { argsz: 16, flags: 3, num_regions: 9, num_irqs: 5 }));

/** BAR 0, as the answer to the third message. */
export const bar0 = (
  fields: Partial<Record<keyof typeof structs.region_info.fields, number | bigint>> = {},
): Uint8Array =>
  reply(
    2,
    "DEVICE_GET_REGION_INFO",
    body(structs.region_info, { argsz: 32, flags: 3, index: 0, size: 4096, ...fields }),
  );

/** The server's end of a socket pair. It says what the test wants and hears what the client said. */
export class ScriptedServer implements Disposable {
  /** The client's end; the client owns it. */
  readonly clientFd: number;
  readonly #socket: MessageSocket;

  constructor(...says: Uint8Array[]) {
    const fds = native.socketpair();
    if (typeof fds === "number") throw new Error("no socket pair");
    this.clientFd = fds[0];
    this.#socket = new MessageSocket(fds[1]);
    for (const bytes of says) this.say(bytes);
  }

  say(bytes: Uint8Array, fds: number[] = []): void {
    native.sendMessage(this.#socket.fd, [bytes], fds, 1000);
  }

  /** The next whole message of the client's; undefined if there is none. */
  hear():
    | { bytes: Uint8Array; id: number; command: number; flags: number; error: number; fds: readonly number[] }
    | undefined {
    if (this.#socket.next(0, 0) !== "message") return undefined;
    const { id, command, flags, error } = this.#socket.input;
    return {
      bytes: this.#socket.input.message().slice(),
      id,
      command,
      flags,
      error,
      fds: this.#socket.takeFds() ?? [],
    };
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
