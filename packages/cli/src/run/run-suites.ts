import { release } from "node:os";
import { DriverRegistry } from "@vfio-selftests/core/driver";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  EXIT_CODES,
  exitCodeOf,
  fullId,
  type Report,
  type RunOutcome,
  type TargetOptions,
  type TestFilter,
  type TestIdentity,
  type TestPart,
  totalsLine,
  totalsOf,
} from "@vfio-selftests/harness";
import { LentDevices } from "../binding/lent-devices";
import { runDurations } from "../durations/run-durations";
import { ExitCode } from "../exit-codes";
import { restoreFirst } from "../restore/restore-first";
import { findDrivers } from "../target/find-drivers";
import { devicesNamed } from "../target/named-devices";
import { chooseFilter, noTestMatches, requireNamed } from "./choose-filter";
import { watchOf } from "./kernel-log";
import { saveLastRun } from "./last-run";
import { repeatingRun } from "./repeating-command";
import { requireWritable } from "./report-file";
import { namedTarget, type RunOptions } from "./run-options";
import { chooseTarget, type RunTarget } from "./run-target";
import type { JestOutcome } from "./test-run";

/** The `run` command. Resolves to the exit code. */
export async function runSuites(options: RunOptions): Promise<number> {
  if (options.output !== undefined) requireWritable(options.output, "run");
  if (options.list === true) {
    using _devices = lendDevices(options);
    const { target, filter } = await prepare(options);
    const tests = await (await import("./list-tests.js")).listTests(target, filter);
    if (tests.length === 0) return noneOf(options);
    return print(tests);
  }

  const run = await runOnDevices(options);
  if (run.tests.length === 0 && run.errors.length === 0) return noneOf(options);
  keepFailed(run, namedTarget(options).lab);
  keepDurations(run, namedTarget(options));
  tellTotals(options, run);
  // The parent sees that the signal ended this process, as if it did not catch the signal.
  if (run.interrupted !== undefined) process.kill(process.pid, run.interrupted);
  return exitCodeOf(run);
}

/** Runs the tests. With `--bind` vfio-pci has the devices meanwhile. */
async function runOnDevices(options: RunOptions): Promise<JestOutcome> {
  using _devices = lendDevices(options);
  return await runPart(options, chooseReports(options));
}

function lendDevices(options: RunOptions): LentDevices | undefined {
  if (options.bind !== true) return undefined;
  const { devices } = namedTarget(options);
  if (devices.length === 0)
    throw argumentError("run", "device", undefined, "with --bind, devices of the kernel: -d 0000:6a:01.0");
  // First, because what it puts back may be these devices' drivers.
  restoreFirst();
  return new LentDevices(devicesNamed(devices));
}

/** Runs the tests of these options, or the share of them that this process was given. */
export async function runPart(options: RunOptions, reports: readonly Report[], part?: TestPart): Promise<JestOutcome> {
  const { target, filter } = await prepare(options);
  const { runJest } = await import("./jest-run.js");
  const [device, ...others] = target.options.devices;
  const watch = watchOf(target);
  const { repeat, untilFail = false, bail = false, testTimeoutMs, timeoutMs } = options;
  return runJest({
    entry: target.entry,
    target: target.options,
    filter,
    part,
    gcov: options.gcov,
    plan: {
      headline: [...target.headline, ...seedLine(target.options.seed), ...watch.lines],
      defaultMode: target.defaultMode,
      // Models are no kernel's devices.
      ...(target.entry === "kernel" && { kernel: release() }),
      ...(options.shard !== undefined && { shard: options.shard }),
      ...(options.verbose !== undefined && { verbose: options.verbose }),
      durations: runDurations(namedTarget(options))?.values,
      command: options.called ?? repeatingRun(namedTarget(options), options),
      ...(others.length === 0 && device !== undefined ? { device } : {}),
    },
    reports,
    repeat: repeat ?? (untilFail ? Infinity : 1),
    bail: bail || untilFail,
    testTimeoutMs,
    timeoutMs,
    kernelLog: watch.kernelLog,
  });
}

/**
 * Keeps the failed tests for `--last-failed`. In the lab's VM the folder would be lost: `labRun` keeps them on the
 * host.
 */
function keepFailed(run: RunOutcome, lab: boolean): void {
  const problem = lab ? undefined : saveLastRun(run);
  if (problem !== undefined) process.stderr.write(`vfio-selftests: ${problem}\n`);
}

/** Keeps how long the tests took. Where that fails, `keepFailed` has told of the folder, and no estimate is worth a message. */
function keepDurations(run: RunOutcome, target: TargetOptions): void {
  if (target.lab) return;
  try {
    runDurations(target)?.keep(run.tests);
  } catch {
    // The next run shows a time left after some seconds all the same.
  }
}

function seedLine(seed: number | undefined): string[] {
  return seed === undefined ? [] : [`Seed ${seed}.`];
}

/** Checks what the options name. A run (not a list) also puts back what an earlier one left changed. */
async function prepare(options: RunOptions): Promise<{ target: RunTarget; filter: TestFilter }> {
  const filter = await chooseFilter(options);
  const named = namedTarget(options);
  findDrivers(named.drivers);
  if (named.kvmIrq !== undefined) (await import("@vfio-selftests/suites")).parseIrqTestOptions(named.kvmIrq);
  if (options.list !== true) restoreFirst();
  const target = await chooseTarget(named);
  // For the lab's VM, the host has checked it before the boot.
  if (options.run !== undefined && !named.lab) {
    requireNamed(options, await (await import("./list-tests.js")).testsOf(target, new DriverRegistry()));
  }
  return { target, filter };
}

/**
 * The human report ends with the totals anyway. With the others, standard output is for machines: the totals go to
 * stderr.
 */
export function tellTotals({ reporter, output }: RunOptions, run: RunOutcome): void {
  if (reporter === "default" || output !== undefined) return;
  process.stderr.write(`${totalsLine(totalsOf(run.tests))}\n`);
}

/**
 * A shard may be empty, where there are more shards than tests. A name or pattern that matches no test is a mistake.
 */
export function noneOf(options: RunOptions): number {
  const { shard } = options;
  if (shard === undefined || shard.count === 1) throw noTestMatches(options);
  process.stderr.write(`no test is in shard ${shard.index}/${shard.count}\n`);
  return EXIT_CODES.skipped;
}

/** The ids, one a line. With several devices the address stands before the id. */
function print(tests: readonly TestIdentity[]): number {
  for (const test of tests) console.log(fullId(test));
  return ExitCode.ok;
}

export function chooseReports({ reporter, output }: RunOptions): readonly Report[] {
  if (output === undefined) return [{ format: reporter }];
  if (reporter === "default") return [{ format: "default" }, { format: "default", file: output }];
  return [{ format: "default" }, { format: reporter, file: output }];
}
