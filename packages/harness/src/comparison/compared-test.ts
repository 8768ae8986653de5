import type { JsonReport, JsonTest } from "../json-report/json-report";
import { identify } from "../outcome/test-identity";

/** A test's result on one machine; undefined where that machine's run has no such test. */
export type ComparedResult = JsonTest | undefined;

/** One test with its results, in the order of the machines. */
export interface ComparedTest {
  readonly id: string;
  readonly suite: string;
  readonly results: readonly ComparedResult[];
}

/** Puts side by side what the same test did in each run. A run that gave no report has no results. */
export function compareTests(reports: readonly (JsonReport | undefined)[]): readonly ComparedTest[] {
  const byRun = reports.map((report) => (report === undefined ? new Map<string, JsonTest>() : resultsByKey(report)));
  const keys = [...new Set(byRun.flatMap((results) => [...results.keys()]))];
  return keys.map((key) => {
    const results = byRun.map((own) => own.get(key));
    const id = results.find((result) => result !== undefined)?.id ?? "";
    return { id, suite: identify(id.split(".")).fixture, results };
  });
}

/** Of a repeated test a failure counts, else its last result. */
function resultsByKey(report: JsonReport): Map<string, JsonTest> {
  const keyOf = keyFor(report);
  const found = new Map<string, JsonTest>();
  for (const test of report.tests) {
    const key = keyOf(test);
    if (found.get(key)?.status !== "failed") found.set(key, test);
  }
  return found;
}

/** Two machines' addresses differ for the same device. So a device counts by its place among those of its run. */
function keyFor({ tests }: JsonReport): (test: JsonTest) => string {
  const devices = [...new Set(tests.map(({ device }) => device))];
  return ({ device, mode, id }) => JSON.stringify([devices.indexOf(device), mode, id]);
}
