import { acceptClient } from "./listening-socket";

/** The longest wait for a client, after which `stopped` is asked again. */
const SLICE_MS = 20;

/**
 * Serves clients of the listening socket `fd` one after the other; one that connects meanwhile waits in the queue until
 * the present one has gone. `serve` takes a connection over. Blocks the thread until `stopped` says so.
 */
export function serveClients(fd: number, serve: (client: number) => void, stopped: () => boolean): void {
  while (!stopped()) {
    const client = acceptClient(fd, SLICE_MS);
    if (client !== undefined) serve(client);
  }
}
