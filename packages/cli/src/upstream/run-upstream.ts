import { closeSync, openSync, writeSync } from "node:fs";
import { argumentError } from "@vfio-selftests/core/errors";
import { requirePciDevice } from "@vfio-selftests/core/sysfs";
import {
  REPORT_FORMATS,
  TARGET_VARIABLES,
  exitCodeOf,
  targetList,
  type ReportFormat,
  type ReportFormatName,
  type TestOutcome,
} from "@vfio-selftests/suites/runner";
import { findPrograms } from "./find-programs";
import { runProgram } from "./run-program";

export interface UpstreamOptions {
  readonly dir: string;
  readonly device?: readonly string[];
  readonly program?: string;
  readonly beside?: boolean;
  readonly timeout: string;
  readonly reporter: ReportFormatName;
  readonly output?: string;
}

const LONGEST_TIMEOUT_S = 86_400;

/** The `upstream` command: the kernel's own compiled selftests, and ours beside them, in one report. */
export async function runUpstream(options: UpstreamOptions): Promise<number> {
  const timeoutS = Number(options.timeout);
  if (!Number.isInteger(timeoutS) || timeoutS < 1 || timeoutS > LONGEST_TIMEOUT_S) {
    throw argumentError("upstream", "timeout", options.timeout, `1 to ${LONGEST_TIMEOUT_S} seconds`);
  }
  const devices = (options.device ?? targetList(process.env, "devices")).map((address) => requirePciDevice(address));
  const programs = findPrograms(options.dir).filter(({ name }) => matches(options.program, name));
  if (programs.length === 0) throw argumentError("upstream", "program", options.program, "a part of a program's name");
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);

  const started = performance.now();
  const tests: TestOutcome[] = [];
  const errors: string[] = [];
  const sink = openSink(options.output);
  const format = REPORT_FORMATS[options.reporter](sink, {
    headline: [`The kernel's C selftests in ${options.dir}: ${programs.map(({ name }) => name).join(", ")}.`],
    size: undefined,
    defaultMode: "iommufd",
    device: undefined,
  });
  for (const program of programs) {
    if (abort.signal.aborted) break;
    // In the report the C suite stands as a device of its own beside ours.
    const label = program.takesDevices ? `${devices.join(" ")} (C suite)` : "mock (C suite)";
    const run = { program, devices, label, timeoutMs: timeoutS * 1000, signal: abort.signal };
    errors.push(...(await runProgram(run, collector(format, tests))));
  }
  if (options.beside === true && !abort.signal.aborted) await runOurs(devices, format, tests, errors);
  if (abort.signal.aborted) errors.push("interrupted");
  const outcome = { tests, errors, durationMs: performance.now() - started };
  format.end(outcome);
  sink.close();
  return exitCodeOf(outcome);
}

/** Runs our tests of upstream's ids on the same devices, and adds them to the report. */
async function runOurs(
  devices: readonly string[],
  format: ReportFormat,
  tests: TestOutcome[],
  errors: string[],
): Promise<void> {
  const { runJest } = await import("../run/jest-run.js");
  process.env[TARGET_VARIABLES.devices] = devices.join(" ");
  const run = await runJest({
    file: require.resolve("@vfio-selftests/suites/entries/kernel"),
    filter: { upstream: true },
    plan: {},
    reports: [],
  });
  const { started, finished } = collector(format, tests);
  for (const test of run.tests) {
    const own = { ...test, device: test.device ?? devices.join(" ") };
    started(own);
    finished(own);
  }
  errors.push(...run.errors);
}

function collector(format: ReportFormat, tests: TestOutcome[]) {
  return {
    started: (test: Parameters<NonNullable<ReportFormat["started"]>>[0]) => format.started?.(test),
    finished: (test: TestOutcome) => {
      tests.push(test);
      format.finished?.(test);
    },
  };
}

function openSink(path: string | undefined) {
  if (path === undefined) {
    return { write: (text: string) => void process.stdout.write(text), interactive: false, close: () => undefined };
  }
  const fd = openSync(path, "w");
  return { write: (text: string) => void writeSync(fd, text), interactive: false, close: () => closeSync(fd) };
}

function matches(part: string | undefined, name: string): boolean {
  return part === undefined || name.includes(part);
}
