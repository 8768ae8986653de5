import { identify, type TestOutcome } from "@vfio-selftests/harness";
import type { CheckResult } from "@vfio-selftests/vfio-user/conformance";

const STATUS = { pass: "passed", fail: "failed", skip: "skipped" } as const;

/** A check's result as the reporters of `run` take it. */
export function outcomeOf(result: CheckResult, { server }: { readonly server?: string }): TestOutcome {
  const device = server === undefined ? [] : [`vfio-user:${server}`];
  return {
    ...identify([...device, ...result.id.split(".")]),
    status: STATUS[result.verdict],
    durationMs: result.durationMs,
    skip: result.verdict === "skip" ? { reason: result.reason, remedy: result.remedy } : undefined,
    failures: result.verdict === "fail" ? [`expected: ${result.expected}\ncame: ${result.came}`] : [],
    notes: [`specification: ${result.section}`],
  };
}
