import { setImmediate } from "node:timers/promises";
import { acceptClient } from "./listening-socket";

/** The longest wait for a client, after which `stopped` is asked again. */
const SLICE_MS = 20;

/**
 * Serves clients of the listening socket `fd` one after the other; one that connects meanwhile waits in the queue until
 * the present one has gone. `serve` takes a connection over, and lasts as long as it. Lasts until `stopped` says so.
 *
 * The event loop turns after every client, since what native code holds of a connection (2 MiB for its messages) is let go
 * there, and nowhere else.
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
