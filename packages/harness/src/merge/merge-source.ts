import { isDeepStrictEqual } from "node:util";
import { VfioError } from "@vfio-selftests/core/errors";
import type { JsonReport, JsonTest, PlannedTest, RunFacts } from "../json-report/json-report";
import { fullId } from "../outcome/test-identity";

/** A report to merge, with the name that errors tell. */
export interface NamedReport {
  /** The report's name: its file's. */
  readonly name: string;
  /** Its content. */
  readonly report: JsonReport;
}

/** A run whose time is known. */
export interface SourceRun extends RunFacts {
  readonly started: string;
}

/** A result and the run that gave it. */
export interface SourceResult {
  readonly run: SourceRun;
  readonly test: JsonTest;
  /** The test's full id, which is the same in every shard and run. */
  readonly id: string;
}

/** What one file brings to a merge: one run, or those of an earlier merge. */
export interface MergeSource {
  readonly name: string;
  readonly runs: readonly SourceRun[];
  readonly results: readonly SourceResult[];
  /** All tests of the whole run, in their order. */
  readonly planned: readonly PlannedTest[];
}

export function mergeSource({ name, report }: NamedReport): MergeSource {
  const runs = (report.runs ?? [report]).map((run) => requireTime(factsOf(run), name));
  const results = report.tests.flatMap((test): SourceResult[] => {
    const run = report.runs === undefined ? runs[0] : runs[test.run ?? -1];
    // A test of an earlier merge that no run gave: this merge finds out for itself whether it is missing.
    if (run === undefined) return [];
    const { run: _run, ...own } = test;
    return [{ run, test: own, id: fullId(withoutSharedDevice(test, run)) }];
  });
  const planned = report.planned ?? distinctTests(report.tests.map((test) => withoutSharedDevice(test, report)));
  const known = new Set(planned.map(fullId));
  const stray = results.find(({ id }) => !known.has(id));
  if (stray === undefined) return { name, runs, results, planned };
  throw notOneRun(`${name} has a result of ${stray.id}, which is not among the tests of its run`);
}

/** The shard that a run is; a run without shards is the only one. */
export function shardOf({ shard = { index: 1, count: 1 } }: RunFacts): { index: number; count: number } {
  return shard;
}

export function notOneRun(message: string, remedy = ONE_RUN): VfioError {
  return new VfioError(message, { code: "ERR_NOT_ONE_RUN", operation: "report merge", remedy });
}

const ONE_RUN =
  "merge the shards of one run; `vfio-selftests report` shows several runs, or shards of several, on one page";

/** Throws unless all files are of one run: of the same tests on the same kernel, cut into the same shards. */
export function requireOneRun(sources: readonly MergeSource[]): void {
  const [first, ...others] = sources;
  for (const other of others) if (first !== undefined) requireSameRun(first, other);
}

function requireSameRun(one: MergeSource, other: MergeSource): void {
  const both = `${one.name} and ${other.name} are not of one run: `;
  for (const [what, of] of SHARED_FACTS) {
    const [mine, theirs] = [one, other].map(({ runs: [run] }) => (run === undefined ? "" : of(run)));
    if (mine !== theirs) throw notOneRun(`${both}${what} ${mine ?? ""} and ${theirs ?? ""}`);
  }
  if (isDeepStrictEqual(one.planned, other.planned)) return;
  for (const [mine, theirs] of [
    [one, other],
    [other, one],
  ] as const) {
    const known = new Set(theirs.planned.map(fullId));
    const lacking = mine.planned.find((test) => !known.has(fullId(test)));
    if (lacking !== undefined) throw notOneRun(`${both}only ${mine.name} has the test ${fullId(lacking)}`);
  }
  throw notOneRun(`${both}their tests have another order or other modes`);
}

/** What the runs of all shards share. */
const SHARED_FACTS: readonly (readonly [string, (run: RunFacts) => string])[] = [
  ["kernel", ({ kernel = "none" }) => kernel],
  ["number of shards", (run) => String(shardOf(run).count)],
];

function requireTime(run: RunFacts, name: string): SourceRun {
  const { started } = run;
  if (started !== undefined) return { ...run, started };
  throw notOneRun(
    `${name} does not tell when its run began`,
    "run the tests again: the report was written before there was a merge",
  );
}

function factsOf(run: RunFacts): RunFacts {
  const { target, kernel, device, command, started, shard, durationMs, errors, notes } = run;
  const given = { kernel, device, command, started, shard, notes };
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  return { target, durationMs, errors, ...(Object.fromEntries(known) as Partial<RunFacts>) };
}

/** A shard's device may have another address on another machine. Where titles name none, it is not part of a test's id. */
function withoutSharedDevice({ id, device, mode }: JsonTest, run: Pick<RunFacts, "device">): PlannedTest {
  return { id, ...(device !== undefined && device !== run.device && { device }), mode };
}

/** Each test once, however often it ran. */
function distinctTests(tests: readonly PlannedTest[]): readonly PlannedTest[] {
  return [...new Map(tests.map((test) => [fullId(test), test])).values()];
}
