import { setImmediate } from "node:timers/promises";
import { MessageSocket } from "../../socket/message-socket";
import type { ServedDevice } from "../served-device";
import { ClientSession } from "../session/client-session";

/** How long to look for the next message before sleeping: register accesses come one after the other. */
const SPIN_MICROSECONDS = 50;
/** The longest sleep before the next call of `stopped`. */
const SLICE_MS = 20;

/**
 * After so many messages the event loop turns once, because only there does native code release what it holds of mapped
 * memory. Until then, each time a client maps, uses and unmaps memory costs some hundred bytes.
 */
const MESSAGES_PER_TURN = 10_000;

/**
 * Serves one client on a connected socket, which it owns and closes. Blocks the thread, except for a turn of the event
 * loop now and then, until the client has gone or `stopped` says so. Never rejects for what the client does.
 */
export async function serveConnection(device: ServedDevice, fd: number, stopped: () => boolean): Promise<void> {
  const socket = new MessageSocket(fd);
  const session = new ClientSession(socket, device, stopped);
  try {
    let busy = true; // the model may have kept work from an earlier client
    let messages = 0;
    while (!session.ended && !stopped()) {
      const received = busy ? session.receive(0, 0) : session.receive(SPIN_MICROSECONDS, SLICE_MS);
      if (received) messages += 1;
      if (messages >= MESSAGES_PER_TURN) {
        messages = 0;
        await setImmediate();
      }
      if (received || busy) busy = device.step();
      // A request that had to wait may have given the model work.
      if (session.stepEnded()) busy = true;
    }
  } finally {
    session.end();
    device.clientGone();
    socket.close();
  }
}
