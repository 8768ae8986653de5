import { systemError } from "@vfio-selftests/core/errors";
import type { NativePoller } from "@vfio-selftests/native";
import { native } from "@vfio-selftests/native";
import type { ServerConnection } from "./server-connection";

/** poll(2). */
const POLLIN = 1;
/** How long one wait for the server's requests lasts. Then the next one begins. */
const WAIT_MS = 60_000;

/** Answers the server's requests for the client's memory on the event loop, without keeping it alive. */
export class MemoryPump {
  readonly #connection: ServerConnection;
  readonly #poller: NativePoller;
  #closed = false;

  constructor(connection: ServerConnection, address: string) {
    const poller = native.createPoller(connection.requestFd);
    if (typeof poller === "number") throw systemError(poller, "poll", { subject: address });
    this.#connection = connection;
    this.#poller = poller;
    connection.onRequestWaiting = () => setImmediate(() => this.#serve());
    this.#serve();
    this.#wait();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.onRequestWaiting = undefined;
    this.#poller.close();
  }

  #wait(): void {
    if (this.#closed) return;
    const started = this.#poller.start(POLLIN, WAIT_MS, false, (result) => {
      if (result > 0) this.#serve();
      this.#wait();
    });
    if (started < 0) this.close();
  }

  #serve(): void {
    if (this.#closed) return;
    try {
      this.#connection.serveMemory();
    } catch {
      // The server has gone. The caller's next request reports that, where somebody can act on it.
      this.close();
    }
  }
}
