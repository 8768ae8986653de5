import { existsSync, readFileSync } from "node:fs";
import {
  BEGIN_MARK,
  describeReport,
  END_MARK,
  findReports,
  type SplatReport,
  testOfMark,
} from "@vfio-selftests/harness";
import { JUMP_MARK } from "@vfio-selftests/lab";
import { ExitCode } from "../exit-codes";

/** A report of the guest's kernel that no run in the guest has read. */
export interface ConsoleReport {
  /** `while X ran`, `after the last test, X`, … */
  readonly when: string;
  readonly report: SplatReport;
}

/** What the console of a guest says about the runs in it. */
export interface GuestConsole {
  readonly reports: readonly ConsoleReport[];
  /** Ids of the tests that failed. */
  readonly failed: readonly string[];
}

/** The time stamp of a line, and with `CONFIG_PRINTK_CALLER` the caller. */
const PREFIX = /^\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?/;

/** Reads a console's file. Undefined when the file is gone: the lab keeps those of the last runs only. */
export function readConsole(path: string): GuestConsole | undefined {
  return existsSync(path) ? parseConsole(readFileSync(path, "utf8")) : undefined;
}

/** The serial console has all the kernel's reports, to its very end: those of each kernel, where one jumped into another. */
export function parseConsole(console: string): GuestConsole {
  const kernels = console.split(JUMP_MARK).map(parseKernel);
  return { reports: kernels.flatMap(({ reports }) => reports), failed: kernels.flatMap(({ failed }) => failed) };
}

/**
 * The reports from the boot to the end of a run in
 * the guest are left out: that run reads them itself, and it knows which of them its tests expect.
 */
function parseKernel(console: string): GuestConsole {
  const lines = console.split(/\r?\n/).map((line) => line.replace(PREFIX, ""));
  const marks = lines.flatMap((line, index) => {
    const mark = testOfMark(line);
    return mark === undefined ? [] : [{ ...mark, index }];
  });
  const last = marks.findLast(({ kind }) => kind === "test");
  const begin = lines.lastIndexOf(BEGIN_MARK);
  const end = lines.lastIndexOf(END_MARK);
  const isOver = end > begin;
  const from = isOver ? end + 1 : begin < 0 ? 0 : (last?.index ?? begin);
  const when = begin < 0 ? "during the command" : isOver ? describeEnd(last?.id) : describeMiddle(last?.id);
  return {
    reports: findReports(lines.slice(from)).map((report) => ({ when, report })),
    failed: marks.filter(({ kind }) => kind === "failed").map(({ id }) => id),
  };
}

function describeEnd(id: string | undefined): string {
  return id === undefined ? "after the run" : `after the last test, ${id}`;
}

function describeMiddle(id: string | undefined): string {
  return id === undefined ? "before the first test" : `while ${id} ran`;
}

/** A report as a sentence for people. */
export function describeConsoleReport({ when, report }: ConsoleReport): string {
  return `the guest's kernel reported ${when}: ${describeReport(report)}`;
}

/**
 * The exit code, after the reports of the guest's kernel. One that no run in the guest has reported fails the command,
 * too.
 */
export function tellReports(reports: readonly ConsoleReport[], exitCode: number): number {
  for (const report of reports) process.stderr.write(`vfio-selftests: ${describeConsoleReport(report)}\n`);
  const isGood = exitCode === ExitCode.ok || exitCode === ExitCode.nothingRan;
  return reports.length > 0 && isGood ? ExitCode.failed : exitCode;
}
