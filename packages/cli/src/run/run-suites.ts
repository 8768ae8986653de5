import { closeSync, openSync } from "node:fs";
import { argumentError, errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import {
  TARGET_VARIABLES,
  exitCodeOf,
  restoreLeftovers,
  totalsLine,
  totalsOf,
  type TestFilter,
} from "@vfio-selftests/suites/runner";
import type { RunOptions } from "./run-options";
import { chooseTarget, type RunTarget } from "./run-target";

/** The `run` command. Gives the exit code. */
export async function runSuites(options: RunOptions): Promise<number> {
  const filter = chooseFilter(options);
  if (options.output !== undefined) requireWritable(options.output);
  // The tests load the drivers themselves; here it shows early whether that works.
  if (options.driver !== undefined) (await import("@vfio-selftests/suites")).chooseDrivers(options.driver);
  if (options.kvmIrq !== undefined) (await import("@vfio-selftests/suites")).parseIrqTestOptions(options.kvmIrq);
  if (options.list !== true) restoreFirst();
  const target = await chooseTarget(options);
  passToTests(target, options);
  if (options.list === true) return (await import("./list-tests.js")).listTests(target, filter);

  const { runJest } = await import("./jest-run.js");
  const [device, ...others] = target.devices;
  const run = await runJest({
    file: require.resolve(`@vfio-selftests/suites/entries/${target.entry}`),
    filter,
    plan: {
      headline: target.headline,
      defaultMode: target.defaultMode,
      ...(others.length === 0 && device !== undefined ? { device } : {}),
    },
    reports: chooseReports(options),
  });
  if (run.tests.length === 0 && run.errors.length === 0) {
    throw argumentError("run", "test", describeFilter(options), "a pattern or id that --list shows");
  }
  // The human report ends with this line by itself; machines have standard output to themselves.
  if (options.reporter !== "default" && options.output === undefined) {
    process.stderr.write(`${totalsLine(totalsOf(run.tests))}\n`);
  }
  return exitCodeOf(run);
}

/** A run before this one may have been killed together with its guardian. What fails now is for `restore` to tell. */
function restoreFirst(): void {
  for (const { path, value, error } of restoreLeftovers()) {
    if (error === undefined) process.stderr.write(`put back after a run that crashed: ${path} is ${value}\n`);
  }
}

function chooseFilter({ test, run, upstream }: RunOptions): TestFilter {
  if (test !== undefined) {
    try {
      new RegExp(test);
    } catch (error) {
      throw argumentError("run", "test", test, `a regular expression (${(error as Error).message})`);
    }
  }
  return {
    ...(test === undefined ? {} : { pattern: test }),
    ...(run === undefined ? {} : { ids: run }),
    ...(upstream === undefined ? {} : { upstream }),
  };
}

/** Before the first test: a report that cannot be written after the last one would be lost. */
function requireWritable(path: string): void {
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "run", {
      message: `cannot write the report to ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give --output a file in a folder that exists and that you may write to",
    });
  }
}

function describeFilter({ test, run, upstream }: RunOptions): string {
  return [test, ...(run ?? []), upstream === true ? "--upstream" : undefined]
    .filter((part) => part !== undefined)
    .join(" ");
}

/** The test file runs in this process and reads its target from the environment, as a vendor's jest project would. */
function passToTests({ devices, modes }: RunTarget, { driver, full, kvmIrq }: RunOptions): void {
  process.env[TARGET_VARIABLES.devices] = devices.join(" ");
  process.env[TARGET_VARIABLES.modes] = modes.join(" ");
  if (full === true) process.env[TARGET_VARIABLES.full] = "1";
  if (kvmIrq !== undefined) process.env[TARGET_VARIABLES.kvmIrq] = kvmIrq;
  if (driver !== undefined) process.env[TARGET_VARIABLES.drivers] = driver.join(" ");
}

function chooseReports({ reporter, output }: RunOptions): { format: RunOptions["reporter"]; file?: string }[] {
  if (output === undefined) return [{ format: reporter }];
  if (reporter === "default") return [{ format: "default" }, { format: "default", file: output }];
  return [{ format: "default" }, { format: reporter, file: output }];
}
