import { exitCodeOf, restoreLeftovers, type TestIdentity, totalsLine, totalsOf } from "@vfio-selftests/harness";
import { ExitCode } from "../exit-codes";
import { findDrivers } from "../target/find-drivers";
import { chooseFilter, noTestMatches } from "./choose-filter";
import { requireWritable } from "./report-file";
import { namedTarget, type RunOptions } from "./run-options";
import { chooseTarget } from "./run-target";

/** The `run` command. Gives the exit code. */
export async function runSuites(options: RunOptions): Promise<number> {
  const filter = await chooseFilter(options);
  if (options.output !== undefined) requireWritable(options.output, "run");
  const named = namedTarget(options);
  findDrivers(named.drivers);
  if (named.kvmIrq !== undefined) (await import("@vfio-selftests/suites")).parseIrqTestOptions(named.kvmIrq);
  if (options.list !== true) restoreFirst();
  const target = await chooseTarget(named);
  if (options.list === true) {
    const tests = await (await import("./list-tests.js")).listTests(target, filter);
    if (tests.length === 0) throw noTestMatches(options);
    return print(tests);
  }

  const { runJest } = await import("./jest-run.js");
  const [device, ...others] = target.options.devices;
  const run = await runJest({
    entry: target.entry,
    target: target.options,
    filter,
    gcov: options.gcov,
    plan: {
      headline: target.headline,
      defaultMode: target.defaultMode,
      ...(others.length === 0 && device !== undefined ? { device } : {}),
    },
    reports: chooseReports(options),
  });
  if (run.tests.length === 0 && run.errors.length === 0) throw noTestMatches(options);
  // The human report ends with this line by itself; machines have standard output to themselves.
  if (options.reporter !== "default" && options.output === undefined) {
    process.stderr.write(`${totalsLine(totalsOf(run.tests))}\n`);
  }
  return exitCodeOf(run);
}

/** The ids, a line each; with several devices the address before it. */
function print(tests: readonly TestIdentity[]): number {
  for (const { device, id } of tests) console.log(device === undefined ? id : `${device} ${id}`);
  return ExitCode.ok;
}

/** A run before this one may have been killed together with its guardian. What fails now is for `restore` to tell. */
function restoreFirst(): void {
  for (const { path, value, error } of restoreLeftovers()) {
    if (error === undefined) process.stderr.write(`put back after a run that crashed: ${path} is ${value}\n`);
  }
}

function chooseReports({ reporter, output }: RunOptions): { format: RunOptions["reporter"]; file?: string }[] {
  if (output === undefined) return [{ format: reporter }];
  if (reporter === "default") return [{ format: "default" }, { format: "default", file: output }];
  return [{ format: "default" }, { format: reporter, file: output }];
}
