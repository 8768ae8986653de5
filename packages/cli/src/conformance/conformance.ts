import { argumentError } from "@vfio-selftests/core/errors";
import { exitCodeOf } from "@vfio-selftests/harness";
import type { CheckName, CheckResult } from "@vfio-selftests/vfio-user/conformance";
import { ExitCode } from "../exit-codes";
import { requireWritable } from "../run/report-file";
import { outcomeOf } from "./check-outcome";
import { ConformanceReport } from "./conformance-report";
import type { ConformanceOptions } from "./options";

/** The `conformance` command: makes the checks, reports each, and tells by its status whether all were passed. */
export async function conformance(command: readonly string[], options: ConformanceOptions): Promise<number> {
  const { server, client = false, test, list = false, output } = options;
  if ((server === undefined) === !client) {
    throw argumentError("conformance", "server", server, "one of --server SOCKET and --client");
  }
  if (server !== undefined) refuseClientOptions(options);
  if (output !== undefined) requireWritable(output, "conformance");
  const side = server === undefined ? await import("./check-client.js") : await import("./check-server.js");
  const wanted = new RegExp(test ?? "", "i");
  const ids = new Set(side.CHECKS.filter(({ id }) => wanted.test(id)).map(({ id }) => id));
  if (ids.size === 0)
    throw argumentError("conformance", "test", test, "a pattern that the id of a check matches (--list)");
  if (list) return print(side.CHECKS.filter(({ id }) => ids.has(id)));

  const report = new ConformanceReport(options, ids.size);
  const started = performance.now();
  const results: CheckResult[] = [];
  for await (const result of side.check({ ...options, command, ids })) {
    results.push(result);
    report.add(result);
  }
  const outcome = {
    tests: results.map((result) => outcomeOf(result, options)),
    errors: [],
    durationMs: performance.now() - started,
  };
  report.end(outcome);
  return exitCodeOf(outcome);
}

/** What only a client's check obeys would be dropped without a word. */
function refuseClientOptions({ socketPath, model, timeoutMs }: ConformanceOptions): void {
  const given = { "--socket-path": socketPath, "--model": model, "--timeout": timeoutMs };
  for (const [flag, value] of Object.entries(given)) {
    if (value !== undefined) throw argumentError("conformance", "option", flag, "with --client only");
  }
}

function print(checks: readonly CheckName[]): number {
  for (const { id, section } of checks) console.log(`${id}  (${section})`);
  return ExitCode.ok;
}
