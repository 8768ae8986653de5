import type { JsonReport, JsonTest } from "../json-report";

/** A test of a report: passed unless told otherwise. The mode is what the id names second. */
export function sampleTest(id: string, fields: Partial<JsonTest> = {}): JsonTest {
  const [, mode = "iommufd"] = id.split(".");
  return { id, device: "0000:01:00.0", mode, status: "passed", durationMs: 10, ...fields };
}

export function failedTest(id: string, ...failures: string[]): JsonTest {
  return sampleTest(id, { status: "failed", failures });
}

export function skippedTest(id: string, reason: string): JsonTest {
  return sampleTest(id, { status: "skipped", skip: { reason, remedy: `mend ${reason}` } });
}

/** A report of these tests, whose totals fit them. */
export function sampleReport(tests: readonly JsonTest[], fields: Partial<JsonReport> = {}): JsonReport {
  const count = (status: JsonTest["status"]): number => tests.filter((test) => test.status === status).length;
  const totals = { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
  return {
    version: 1,
    target: ["Devices 0000:01:00.0 on the kernel."],
    kernel: "7.3.4",
    device: "0000:01:00.0",
    command: ["run", "--device=0000:01:00.0"],
    started: "2026-11-22T03:00:00.000Z",
    durationMs: 1000,
    totals,
    exitCode: totals.failed > 0 ? 1 : totals.passed > 0 ? 0 : 4,
    errors: [],
    tests,
    ...fields,
  };
}
