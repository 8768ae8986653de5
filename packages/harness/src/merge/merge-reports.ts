import { isDeepStrictEqual } from "node:util";
import { type JsonReport, type JsonTest, type PlannedTest, REPORT_VERSION } from "../json-report/json-report";
import { exitCodeOf, totalsOf } from "../outcome/run-outcome";
import { shardTests } from "../outcome/shard";
import { fullId } from "../outcome/test-identity";
import {
  type MergeSource,
  mergeSource,
  type NamedReport,
  notOneRun,
  requireOneRun,
  shardOf,
  type SourceResult,
  type SourceRun,
} from "./merge-source";

/**
 * One report of the shards of one run. The order of the files does not matter, and a file or a merged report may come
 * twice. Of several runs of a shard the later one wins, test by test: a test that it did not get to keeps its earlier
 * result. A test without any result fails as missing (MISS). A merged report holds the facts of all runs, so it can be
 * merged again with those that come later.
 */
export function mergeReports(reports: readonly NamedReport[]): JsonReport {
  const sources = reports.map(mergeSource);
  requireOneRun(sources);
  const planned = sources[0]?.planned ?? [];
  const runs = distinctRuns(sources);
  const results = latestResults(sources);
  const lost = lostTests(planned, runs, results);
  const counting = runs.filter((run) => counts(run, runs, results));
  const tests = inOrder(
    planned,
    [...results.values()].map((result) => written(result, runs)),
    lost,
  );
  const errors = counting.flatMap((run) => run.errors.map((error) => ofShard(run, error)));
  const notes = [
    ...counting.flatMap((run) => (run.notes ?? []).map((note) => ofShard(run, note))),
    ...replaced(runs, counting),
  ];
  const [first] = runs;
  return {
    version: REPORT_VERSION,
    target: [...new Set(counting.flatMap(({ target }) => target))],
    ...shared(runs, "kernel"),
    ...shared(runs, "device"),
    ...(first?.command !== undefined && { command: first.command }),
    started: runs.reduce((least, { started }) => (started < least ? started : least), first?.started ?? ""),
    durationMs: counting.reduce((sum, { durationMs }) => sum + durationMs, 0),
    totals: totalsOf(tests),
    exitCode: exitCodeOf({ tests, errors }),
    errors,
    ...(notes.length > 0 && { notes }),
    runs,
    planned,
    tests,
  };
}

/** The failure text of a test without a result begins so, as that of a test whose VM went down. */
const MISS = "MISS: this test has no result: ";

/** Sorted by shard, then by time. Two files may hold one run; what they tell of it must be the same. */
function distinctRuns(sources: readonly MergeSource[]): readonly SourceRun[] {
  const found = new Map<string, SourceRun>();
  for (const { name, runs } of sources) {
    for (const run of runs) {
      const other = found.get(runKey(run));
      if (other !== undefined && !isDeepStrictEqual(run, other)) throw tellsOtherwise(name, run);
      found.set(runKey(run), run);
    }
  }
  return [...found.values()].sort(byShardAndTime);
}

function runKey(run: SourceRun): string {
  return `${shardOf(run).index} ${run.started}`;
}

function tellsOtherwise(name: string, run: SourceRun): Error {
  return notOneRun(
    `${name} and another file differ in what they tell of the run of ${shardText(run)} that began at ${run.started}`,
    "leave out the one that was changed after its run",
  );
}

/** Of each test, and each repetition of it, the result of the latest run. */
function latestResults(sources: readonly MergeSource[]): ReadonlyMap<string, SourceResult> {
  const latest = new Map<string, SourceResult>();
  for (const { name, results } of sources) {
    for (const result of results) {
      const key = resultKey(result);
      const other = latest.get(key);
      const order = other === undefined ? 1 : byTimeAndShard(result.run, other.run);
      if (order === 0 && !isDeepStrictEqual(result.test, other?.test)) throw tellsOtherwise(name, result.run);
      if (order > 0) latest.set(key, result);
    }
  }
  return latest;
}

function resultKey({ id, test }: SourceResult): string {
  return JSON.stringify([id, test.repetition ?? 0]);
}

/** A test that no run has a result of. */
interface LostTest extends PlannedTest {
  readonly why: string;
  /** Its full id. */
  readonly fullId: string;
}

function lostTests(
  planned: readonly PlannedTest[],
  runs: readonly SourceRun[],
  results: ReadonlyMap<string, SourceResult>,
): readonly LostTest[] {
  const found = new Set([...results.values()].map(({ id }) => id));
  const count = runs[0] === undefined ? 1 : shardOf(runs[0]).count;
  return Array.from({ length: count }, (_, at) => at + 1).flatMap((index) => {
    const own = runs.filter((run) => shardOf(run).index === index);
    const shard = count === 1 ? "the run" : `shard ${index}/${count}`;
    const why = own.length === 0 ? `${shard} has no report` : `${shard} ended before it`;
    const lost = shardTests(planned, { index, count }).filter((test) => !found.has(fullId(test)));
    return lost.map((test) => ({ ...shared(runs, "device"), ...test, why, fullId: fullId(test) }));
  });
}

function missing({ why, fullId: _fullId, ...test }: LostTest): JsonTest {
  return { ...test, status: "failed", durationMs: 0, failures: [MISS + why] };
}

/** The results and the lost tests as a single run would have reported them: one repetition after the other. */
function inOrder(
  planned: readonly PlannedTest[],
  results: readonly { readonly id: string; readonly test: JsonTest }[],
  lost: readonly LostTest[],
): readonly JsonTest[] {
  const places = new Map(planned.map((test, place) => [fullId(test), place]));
  const all = [...results, ...lost.map((test) => ({ id: test.fullId, test: missing(test) }))];
  const repetition = ({ test }: { readonly test: JsonTest }): number => test.repetition ?? 1;
  const place = ({ id }: { readonly id: string }): number => places.get(id) ?? 0;
  return all.sort((a, b) => repetition(a) - repetition(b) || place(a) - place(b)).map(({ test }) => test);
}

function written({ id, test, run }: SourceResult, runs: readonly SourceRun[]): { id: string; test: JsonTest } {
  return { id, test: { ...test, run: runs.findIndex((one) => runKey(one) === runKey(run)) } };
}

/** Whether something of the run is in the merge. Its errors do not count where later runs have replaced all its results. */
function counts(run: SourceRun, runs: readonly SourceRun[], results: ReadonlyMap<string, SourceResult>): boolean {
  const isLast = !runs.some((other) => shardOf(other).index === shardOf(run).index && other.started > run.started);
  return isLast || [...results.values()].some((result) => runKey(result.run) === runKey(run));
}

function replaced(runs: readonly SourceRun[], counting: readonly SourceRun[]): readonly string[] {
  const others = runs.filter((run) => !counting.includes(run));
  return others.map((run) => `a later run replaces that of ${shardText(run)} which began at ${run.started}`);
}

function ofShard(run: SourceRun, text: string): string {
  return run.shard === undefined ? text : `${shardText(run)}: ${text}`;
}

function shardText(run: SourceRun): string {
  const { index, count } = shardOf(run);
  return count === 1 ? "all tests" : `shard ${index}/${count}`;
}

/** A fact that all runs agree on. */
function shared<Name extends "kernel" | "device">(
  runs: readonly SourceRun[],
  name: Name,
): Partial<Record<Name, string>> {
  const [value, ...others] = [...new Set(runs.map((run) => run[name]))];
  return value === undefined || others.length > 0 ? {} : ({ [name]: value } as Record<Name, string>);
}

function byShardAndTime(a: SourceRun, b: SourceRun): number {
  return shardOf(a).index - shardOf(b).index || compare(a.started, b.started);
}

function byTimeAndShard(a: SourceRun, b: SourceRun): number {
  return compare(a.started, b.started) || shardOf(a).index - shardOf(b).index;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
