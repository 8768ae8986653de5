import type { ListeningSocket } from "./listening-socket";
import { serveConnection } from "./serve-connection";
import type { ServedDevice } from "../served-device";

/** The longest wait for a client, after which `stopped` is asked again. */
const SLICE_MS = 20;

/**
 * Serves clients of a listening socket one after the other; one that connects meanwhile waits in the queue until the
 * present one has gone. Blocks the thread until `stopped` says so.
 */
export function serveSocket(device: ServedDevice, socket: ListeningSocket, stopped: () => boolean): void {
  while (!stopped()) {
    const fd = socket.accept(SLICE_MS);
    if (fd !== undefined) serveConnection(device, fd, stopped);
  }
}
