import { type JsonReport, type JsonTest, type PlannedTest, REPORT_VERSION } from "../json-report/json-report";
import { exitCodeOf, type RunOutcome, totalsOf } from "../outcome/run-outcome";
import { fullId } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import type { ReportFormatFactory, RunPlan } from "./report-format";

/** One JSON object for the whole run: a `JsonReport`. */
export const jsonFormat: ReportFormatFactory = (sink, plan) => ({
  end: (run) => sink.write(`${JSON.stringify(reportOf(run, plan), undefined, 2)}\n`),
});

/** JSON.stringify leaves fields out whose value is undefined. */
type Written<T> = { readonly [Name in keyof T]: T[Name] | undefined };

function reportOf(run: RunOutcome, plan: RunPlan): Written<JsonReport> {
  return {
    version: REPORT_VERSION,
    target: plan.headline,
    kernel: plan.kernel,
    device: plan.device,
    command: plan.command,
    started: new Date(Date.now() - run.durationMs).toISOString(),
    shard: plan.shard,
    durationMs: run.durationMs,
    totals: totalsOf(run.tests),
    exitCode: exitCodeOf(run),
    errors: run.errors,
    notes: run.notes?.length === 0 ? undefined : run.notes,
    planned: plannedTests(run, plan),
    tests: run.tests.map((test) => testOf(test, plan) as JsonTest),
    runs: undefined,
  };
}

function testOf(test: TestOutcome, plan: RunPlan): Written<JsonTest> {
  return {
    id: test.id,
    device: test.device ?? plan.device,
    mode: test.mode ?? plan.defaultMode,
    status: test.status,
    repetition: test.repetition,
    durationMs: test.durationMs,
    skip: test.skip,
    failures: test.failures.length > 0 ? test.failures : undefined,
    notes: test.notes.length > 0 ? test.notes : undefined,
    run: undefined,
  };
}

/** Undefined where every test of the whole run has a result: then the results tell the tests. */
function plannedTests({ tests }: RunOutcome, { size, defaultMode }: RunPlan): readonly PlannedTest[] | undefined {
  const planned = size?.unsharded ?? size?.all;
  const ran = new Set(tests.map(({ id, device }) => fullId({ id, device })));
  if (planned?.every((test) => ran.has(fullId(test))) !== false) return undefined;
  return planned.map(({ id, device, mode = defaultMode }) => ({ id, ...(device !== undefined && { device }), mode }));
}
