import { once } from "node:events";
import { resolve } from "node:path";
import { startModel } from "@vfio-selftests/device-models";
import { ExitCode } from "../exit-codes";

/** `model serve`: one client at a time, the next after it, until SIGINT or SIGTERM. */
export async function serveModel(name: string, { socket }: { readonly socket: string }): Promise<number> {
  const socketPath = resolve(socket);
  const worker = startModel(name, { socketPath });
  const ended = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  // The model's thread by itself does not keep the process alive.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    worker.ready();
    console.log(`model ${name} listens on ${socketPath}`);
    await ended;
  } finally {
    clearInterval(alive);
    await worker.close();
  }
  return ExitCode.ok;
}
