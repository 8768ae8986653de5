import { setImmediate } from "node:timers/promises";
import type { DeviceModel } from "../../server/device-model";
import { ServedDevice } from "../../server/served-device";
import { ClientSession } from "../../server/session/client-session";
import { MessageSocket } from "../../socket/message-socket";
import type { ClientRecord, Ending } from "./client-record";
import type { Scenario } from "./scenario";
import { TappedSocket } from "./tapped-socket";

/** What to serve a client under test, and for how long. */
export interface ServeClientOptions {
  /** The device that is served. */
  readonly model: DeviceModel;
  /** What the client meets. */
  readonly scenario: Scenario;
  /** How long the client may say nothing, in milliseconds. */
  readonly patienceMs: number;
  /** Whether the client has ended: nobody will say anything more. */
  readonly gone?: () => boolean;
}

const SPIN_MICROSECONDS = 50;
const SLICE_MS = 10;

/** Serves one client in a scenario, on a connected socket, which it owns. */
export async function serveClient(fd: number, options: ServeClientOptions): Promise<ClientRecord> {
  const { model, scenario, patienceMs, gone = () => false } = options;
  const socket = new MessageSocket(fd);
  const tapped = new TappedSocket(socket, scenario);
  const device = new ServedDevice(model);
  const session = new ClientSession(tapped, device);
  let ending: Ending = "time";
  let deadline = performance.now() + patienceMs;
  let heard = 0;
  try {
    while (performance.now() < deadline) {
      const received = session.receive(SPIN_MICROSECONDS, SLICE_MS);
      device.step();
      session.stepEnded();
      if (tapped.over || session.ended) {
        ending = tapped.closed ? "client" : "server";
        break;
      }
      if (tapped.entries.length > heard) {
        heard = tapped.entries.length;
        deadline = performance.now() + patienceMs;
      } else if (!received && gone()) {
        ending = "client";
        break;
      }
      await setImmediate();
    }
  } finally {
    session.end();
    device.clientGone();
    device.close();
    socket.close();
  }
  return { entries: tapped.entries, ending };
}
