import { setImmediate } from "node:timers/promises";
import { acceptClient } from "./listening-socket";

/** The longest wait for a client before the next call of `stopped`. */
const SLICE_MS = 20;

/**
 * Serves clients of the listening socket `fd` one after the other. A client that connects meanwhile waits in the queue.
 * `serve` owns a connection and returns when it ends. `serveClients` returns when `stopped` says so.
 *
 * The event loop turns after every client, because only there does native code release what it holds of a connection (2
 * MiB for its messages).
 */
export async function serveClients(
  fd: number,
  serve: (client: number) => void | Promise<void>,
  stopped: () => boolean,
): Promise<void> {
  while (!stopped()) {
    const client = acceptClient(fd, SLICE_MS);
    if (client === undefined) continue;
    await serve(client);
    await setImmediate();
  }
}
