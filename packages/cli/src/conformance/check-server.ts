import { setImmediate } from "node:timers/promises";
import { type CheckResult, runServerCheck, SERVER_CHECKS } from "@vfio-selftests/vfio-user/conformance";
import { ServerAddress } from "./server-address";

export const CHECKS = SERVER_CHECKS;

interface ServerRun {
  readonly server?: string;
  /** Starts the server. Empty: it listens already. */
  readonly command: readonly string[];
  readonly ids: ReadonlySet<string>;
}

/** Checks a server. When it has gone, the checks that are left are skipped. */
export async function* check({ server = "", command, ids }: ServerRun): AsyncGenerator<CheckResult> {
  using address = new ServerAddress(server, command);
  address.requireListening();
  let last: string | undefined;
  for (const one of SERVER_CHECKS.filter(({ id }) => ids.has(id))) {
    const { id, section } = one;
    if (last !== undefined) {
      const remedy = "start the server again, or let this command start it: -- command {socket}";
      yield { id, section, durationMs: 0, verdict: "skip", reason: `the server has gone since ${last}`, remedy };
      continue;
    }
    const { result, gone } = runServerCheck(one, address.connect);
    // The event loop tells how a server that ended did so.
    await setImmediate();
    const crash = address.takeCrash();
    yield crash === undefined
      ? result
      : {
          id,
          section,
          durationMs: result.durationMs,
          verdict: "fail",
          expected: "that the server lives on",
          came: crash,
        };
    if (gone) last = id;
  }
}
