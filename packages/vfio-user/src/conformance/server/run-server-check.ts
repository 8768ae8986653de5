import type { CheckResult } from "../check";
import { verdictOf } from "../check";
import type { Peer } from "../wire/conversation";
import type { ServerCheck } from "./family";
import { ServerUnderTest } from "./server-under-test";

/** What one check has shown of a server. */
export interface ServerCheckResult {
  /** The verdict. */
  readonly result: CheckResult;
  /** No client is served any more, so the checks that follow would say nothing. */
  readonly gone: boolean;
}

/** Runs one check on connections that `connect` makes. Whatever it demands, the server must serve the next client. */
export function runServerCheck(check: ServerCheck, connect: () => Peer): ServerCheckResult {
  const { id, section } = check;
  const started = performance.now();
  using server = new ServerUnderTest(connect);
  const verdict = verdictOf(() => check.run(server));
  const survival = verdictOf(() => server.requireAlive());
  const gone = survival.verdict !== "pass";
  const durationMs = performance.now() - started;
  return { result: { id, section, durationMs, ...(gone && verdict.verdict !== "fail" ? survival : verdict) }, gone };
}
