import { argumentError } from "@vfio-selftests/core/errors";
import {
  environmentOptions,
  exitCodeOf,
  fileSink,
  REPORT_FORMATS,
  type ReportFormat,
  type ReportFormatName,
  type TestOutcome,
} from "@vfio-selftests/harness";
import { watchOf } from "../run/kernel-log";
import { requireWritable } from "../run/report-file";
import { devicesNamed } from "../target/named-devices";
import { findPrograms } from "./find-programs";
import { runProgram } from "./run-program";

export interface UpstreamOptions {
  readonly dir: string;
  readonly device?: readonly string[];
  readonly program?: string;
  readonly run?: readonly string[];
  readonly beside?: boolean;
  readonly timeoutMs?: number;
  readonly reporter: ReportFormatName;
  readonly output?: string;
}

const DEFAULT_TIMEOUT_MS = 600_000;

/** The `upstream` command runs the kernel's own compiled selftests, and ours beside them, in one report. */
export async function runUpstream(options: UpstreamOptions): Promise<number> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const devices = devicesNamed(options.device ?? environmentOptions().devices);
  const programs = findPrograms(options.dir).filter(({ name }) => matches(options.program, name));
  if (programs.length === 0) throw argumentError("upstream", "program", options.program, "a part of a program's name");
  if (options.output !== undefined) requireWritable(options.output, "upstream");
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
    // What one looks for is where the C suite and ours differ, test by test.
    verbose: true,
  });
  for (const program of programs) {
    if (abort.signal.aborted) break;
    // The report shows the C suite as a device of its own, beside ours.
    const label = program.takesDevices ? `${devices.join(" ")} (C suite)` : "mock (C suite)";
    const run = { program, devices, label, timeoutMs, signal: abort.signal, ids: options.run };
    errors.push(...(await runProgram(run, collector(format, tests))));
  }
  if (options.beside === true && !abort.signal.aborted) await runOurs(devices, options.run, format, tests, errors);
  if (abort.signal.aborted) errors.push("interrupted");
  if (options.run !== undefined && tests.length === 0 && errors.length === 0) {
    throw argumentError("upstream", "run", options.run.join(" "), "the id of a test of these programs");
  }
  const outcome = { tests, errors, durationMs: performance.now() - started };
  format.end(outcome);
  sink.close();
  return exitCodeOf(outcome);
}

/** Runs our tests with upstream's ids on the same devices, and adds them to the report. */
async function runOurs(
  devices: readonly string[],
  ids: readonly string[] | undefined,
  format: ReportFormat,
  tests: TestOutcome[],
  errors: string[],
): Promise<void> {
  const { runJest } = await import("../run/jest-run.js");
  const { UPSTREAM_IDS } = await import("@vfio-selftests/suites/upstream-ids");
  const target = { ...environmentOptions(), devices };
  const run = await runJest({
    entry: "kernel",
    target,
    filter: { ids: ids === undefined ? UPSTREAM_IDS : UPSTREAM_IDS.filter((id) => ids.includes(id)) },
    plan: {},
    reports: [],
    kernelLog: watchOf({ entry: "kernel", options: target }).kernelLog,
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
  return fileSink(path);
}

function matches(part: string | undefined, name: string): boolean {
  return part === undefined || name.includes(part);
}
