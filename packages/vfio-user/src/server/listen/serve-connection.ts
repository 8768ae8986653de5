import { MessageSocket } from "../../socket/message-socket";
import { ClientSession } from "../session/client-session";
import type { ServedDevice } from "../served-device";

/** How long to look for the next message before sleeping: register accesses come one after the other. */
const SPIN_MICROSECONDS = 50;
/** The longest sleep, after which `stopped` is asked again. */
const SLICE_MS = 20;

/**
 * Serves one client on a connected socket, which it takes over and closes. Blocks the thread until the client has gone
 * or `stopped` says so. Never throws for what the client does.
 */
export function serveConnection(device: ServedDevice, fd: number, stopped: () => boolean): void {
  const socket = new MessageSocket(fd);
  const session = new ClientSession(socket, device, stopped);
  try {
    let busy = true; // the model may have kept work from an earlier client
    while (!session.ended && !stopped()) {
      const received = busy ? session.receive(0, 0) : session.receive(SPIN_MICROSECONDS, SLICE_MS);
      if (received || busy) busy = device.step();
    }
  } finally {
    session.end();
    device.clientGone();
    socket.close();
  }
}
