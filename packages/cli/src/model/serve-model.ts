import { once } from "node:events";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ExitCode } from "../exit-codes";
import { startNamedModel } from "./start-named-model";

export interface ServeModelOptions {
  /** Where to listen. */
  readonly socketPath: string | undefined;
  /** An inherited socket to serve instead. */
  readonly fd: number | undefined;
  readonly trust: boolean;
}

/** How long the model's thread may take to end, in milliseconds. A user's own model may be stuck. */
const GRACE_MS = 300;
/**
 * How much longer this process waits. Nothing ends a thread that is in a system call, such as a write that no client
 * reads.
 */
const LAST_WAIT_MS = 500;

/** `model serve`: serves one client after the other until SIGINT or SIGTERM, or until the only client has gone. */
export async function serveModel(name: string, { socketPath, fd, trust }: ServeModelOptions): Promise<number> {
  const where = socketPath === undefined ? undefined : resolve(socketPath);
  const options = {
    trustClients: trust,
    ...(where === undefined ? {} : { socketPath: where }),
    ...(fd === undefined ? {} : { fd }),
  };
  let signal: NodeJS.Signals | undefined;
  const interrupted = Promise.race(
    (["SIGINT", "SIGTERM"] as const).map((name) => once(process, name).then(() => (signal = name))),
  );
  const worker = startNamedModel(name, options);
  // The model's thread does not keep the process alive by itself.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    const ready = worker.whenReady().then(() => {
      console.log(`model ${name} ${where === undefined ? `serves descriptor ${fd}` : `listens on ${where}`}`);
      return worker.ended;
    });
    await Promise.race([interrupted, ready]);
  } finally {
    clearInterval(alive);
    const closed = worker.close({ graceMs: GRACE_MS }).then(() => true);
    if (
      !(await Promise.race([closed, delay(GRACE_MS + LAST_WAIT_MS, false, { ref: false })])) &&
      signal !== undefined
    ) {
      dieOf(signal);
    }
    await closed;
  }
  return ExitCode.ok;
}

/** Ends the process as the signal does without a listener. */
function dieOf(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
