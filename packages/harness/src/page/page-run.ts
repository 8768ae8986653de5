import type { JsonReport, JsonTest } from "../json-report/json-report";
import { identify } from "../outcome/test-identity";

/** A report on the page. */
export interface PageRun {
  /** Distinguishes it on the page: its file's name. */
  readonly name: string;
  /** The file's content. */
  readonly report: JsonReport;
}

/** Where a test ran: a column of the matrix. */
export interface Column {
  /** Columns with equal keys are one. */
  readonly key: string;
  readonly kernel: string;
  readonly device: string;
  readonly mode: string;
}

/** One result of one test in one run. */
export interface Result {
  readonly run: PageRun;
  readonly test: JsonTest;
  readonly column: Column;
  readonly suite: string;
  /** The test's name without suite and mode: a row of the matrix. */
  readonly name: string;
}

/** The runs in the order of their times. Where a report does not tell its time, the given order stays. */
export function inOrder(runs: readonly PageRun[]): readonly PageRun[] {
  if (runs.some(({ report }) => report.started === undefined)) return runs;
  return [...runs].sort((a, b) => compare(a.report.started ?? "", b.report.started ?? ""));
}

export function resultsOf(run: PageRun): readonly Result[] {
  const { report } = run;
  const kernel = kernelOf(report);
  return report.tests.map((test) => {
    const { fixture, flavour, test: title } = identify(test.id.split("."));
    const device = test.device ?? "no device";
    return {
      run,
      test,
      column: { key: JSON.stringify([kernel, device, test.mode]), kernel, device, mode: test.mode },
      suite: fixture === "" ? "no suite" : fixture,
      name: flavour === undefined ? title : `${flavour}.${title}`,
    };
  });
}

/** A report of before there were versions does not tell its kernel. */
export function kernelOf({ kernel, version }: JsonReport): string {
  return kernel ?? (version === undefined ? "unknown" : "none");
}

/** The same test in the same column has the same key in every run. */
export function resultKey({ column, test }: Result): string {
  return JSON.stringify([column.key, test.id]);
}

/** What one test did in one column, over all runs: in their order, repetitions included. At least one result. */
export type History = readonly [Result, ...Result[]];

export function histories(results: readonly Result[]): ReadonlyMap<string, History> {
  const found = new Map<string, [Result, ...Result[]]>();
  for (const result of results) {
    const history = found.get(resultKey(result));
    if (history === undefined) found.set(resultKey(result), [result]);
    else history.push(result);
  }
  return found;
}

/** What counts of a history: the newest run, in which a failure outweighs the passes of other repetitions. */
export function newest(history: History): Result {
  const last = history.at(-1) ?? history[0];
  return history.findLast(({ run, test }) => run === last.run && test.status === "failed") ?? last;
}

export function distinct<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
