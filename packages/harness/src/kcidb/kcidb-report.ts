import { createHash } from "node:crypto";
import type { JsonReport, JsonTest, RunFacts } from "../json-report/json-report";
import { skipText } from "../outcome/skip";
import { fullId } from "../outcome/test-identity";

/** What KernelCI's database takes: KCIDB 5.3 (github.com/kernelci/kcidb-io, kcidb_io/schema/v05_03.py). */
export interface KcidbReport {
  /** The version of KCIDB's schema. */
  readonly version: { readonly major: 5; readonly minor: 3 };
  /** A test for each result, and one for each error outside any test. */
  readonly tests: readonly KcidbTest[];
}

/** KCIDB's verdicts, as far as our tests have them. */
export type KcidbStatus = "FAIL" | "ERROR" | "MISS" | "PASS" | "SKIP";

/** A test, as KCIDB takes it (schema 5.3, `tests`). */
export interface KcidbTest {
  /** `ORIGIN:HASH`: the same for the same result. */
  readonly id: string;
  /** The CI system that submits. */
  readonly origin: string;
  /** The tested kernel's build. */
  readonly build_id: string;
  /** Steps with dots between them. */
  readonly path: string;
  /** The verdict. */
  readonly status: KcidbStatus;
  /** The test's full id, for people. */
  readonly comment: string;
  /** Failures, or why the test skipped. */
  readonly log_excerpt?: string;
  /** When the run began: `2026-11-22T03:00:00.000Z`. */
  readonly start_time?: string;
  /** Seconds. */
  readonly duration?: number;
  /** Target, mode, device and kernel. */
  readonly environment?: { readonly comment: string; readonly misc: Readonly<Record<string, string>> };
  /** The repetition, notes, and the command that repeats the run. */
  readonly misc?: Readonly<Record<string, unknown>>;
}

/** What KCIDB must know and a report does not tell. */
export interface KcidbSource {
  /** The CI system that submits. */
  readonly origin: string;
  /** The tested kernel's build in the database, which somebody else submitted: `maestro:…`. */
  readonly build: string;
}

/** The same report always gets the same ids, so that a second submission adds nothing. */
export function kcidbReport(reports: readonly JsonReport[], source: KcidbSource): KcidbReport {
  const tests = reports.flatMap((report) => [
    ...report.tests.map((test) => resultOf(test, runOf(test, report), isMissing(test, report), source)),
    ...lostTests(report).map((test) => resultOf(test, report, true, source)),
    ...report.errors.map((error, index) => errorOf(error, index, report, source)),
  ]);
  // A report that was given twice counts once.
  return { version: { major: 5, minor: 3 }, tests: [...new Map(tests.map((test) => [test.id, test])).values()] };
}

/** The first step of every path. */
const SUITE = "vfio_selftests";

/** What of a result is known of a test that did not run, too. */
type AnyTest = Pick<JsonTest, "id" | "mode"> & Partial<JsonTest>;

function resultOf(test: AnyTest, run: RunFacts, missing: boolean, source: KcidbSource): KcidbTest {
  const { id, mode, device, durationMs, repetition, skip, failures = [], notes } = test;
  const log = skip === undefined ? failures.join("\n\n") : skipText(skip);
  const facts = {
    mode,
    ...(device !== undefined && { device }),
    ...(run.kernel !== undefined && { kernel: run.kernel }),
  };
  const { command } = run;
  const misc = {
    ...(repetition !== undefined && { repetition }),
    ...(notes && { notes }),
    ...(command && { command }),
  };
  return {
    ...objectIds([run.started, mode, fullId(test)], source),
    path: [SUITE, ...id.split(".").map((step) => step.replace(/[^\w-]+/g, "_") || "_")].join("."),
    status: missing ? "MISS" : statusOf(test),
    comment: clean(fullId(test)),
    ...excerpt(log),
    ...(run.started !== undefined && { start_time: run.started }),
    ...(durationMs !== undefined && !missing && { duration: durationMs / 1000 }),
    environment: { comment: clean(run.target.join(" ")), misc: facts },
    ...(Object.keys(misc).length > 0 && { misc }),
  };
}

function errorOf(error: string, index: number, run: RunFacts, source: KcidbSource): KcidbTest {
  return {
    ...objectIds([run.started, "outside", index, error], source),
    path: `${SUITE}.outside_any_test`,
    status: "ERROR",
    comment: "what went wrong outside any test",
    ...excerpt(error),
    ...(run.started !== undefined && { start_time: run.started }),
  };
}

function statusOf({ status, failures = [] }: AnyTest): KcidbStatus {
  if (status === "skipped") return "SKIP";
  if (status === "passed") return "PASS";
  return failures.every((text) => OWN_FAULT.test(text)) ? "ERROR" : "FAIL";
}

/** The errors of a program that is wrong: such a test says nothing of the kernel. */
const OWN_FAULT = /^(?:TypeError|ReferenceError|SyntaxError|RangeError)\b/;

/** A merge gives the tests of a lost shard a result without a run. */
function isMissing({ run }: JsonTest, { runs }: JsonReport): boolean {
  return runs !== undefined && run === undefined;
}

function runOf({ run }: JsonTest, report: JsonReport): RunFacts {
  return run === undefined ? report : (report.runs?.[run] ?? report);
}

/** Of a run that ended early. A shard's report names the other shards' tests, too, which only a merge can call lost. */
function lostTests({ planned = [], shard, device, tests }: JsonReport): readonly AnyTest[] {
  if (shard !== undefined) return [];
  const ran = new Set(tests.map((test) => fullId({ id: test.id, device: test.device })));
  const all = planned.map((test) => (device === undefined ? test : { device, ...test }));
  return all.filter((test) => !ran.has(fullId(test)));
}

function objectIds(parts: readonly unknown[], { origin, build }: KcidbSource) {
  const digest = createHash("sha256")
    .update(JSON.stringify([build, ...parts]))
    .digest("hex");
  return { id: `${origin}:${digest}`, origin, build_id: build };
}

/** Characters that the database takes. */
const LONGEST_EXCERPT = 16_384;

function excerpt(log: string): { log_excerpt?: string } {
  return log === "" ? {} : { log_excerpt: clean(log).slice(0, LONGEST_EXCERPT) };
}

/** No text may hold a NUL. */
function clean(text: string): string {
  return text.replaceAll("\0", "");
}
