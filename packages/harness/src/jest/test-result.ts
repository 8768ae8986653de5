import { stripVTControlCharacters } from "node:util";
import { parseSkipText, type SkipReason } from "../outcome/skip";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { runState, testKey } from "./run-state";

/** What we read of jest's result of one test (`TestCaseResult` of @jest/test-result). */
export interface JestTestResult {
  readonly ancestorTitles: readonly string[];
  readonly title: string;
  readonly status: string;
  readonly duration?: number | null | undefined;
  readonly failureMessages: readonly string[];
}

export function outcomeOf(result: JestTestResult): TestOutcome {
  const titles = [...result.ancestorTitles, result.title];
  const failed = result.status === "failed";
  const skipped = !failed && result.status !== "passed";
  return {
    ...identify(titles),
    status: failed ? "failed" : skipped ? "skipped" : "passed",
    durationMs: result.duration ?? 0,
    skip: skipped ? (parseSkipText(result.failureMessages[0] ?? "") ?? UNEXPLAINED) : undefined,
    failures: failed ? result.failureMessages.map(plainFailure) : [],
    notes: runState().notes.get(testKey(titles)) ?? [],
  };
}

/** The reason of a test that jest itself skipped (`it.skip`, `it.todo`). */
const UNEXPLAINED: SkipReason = { reason: "marked as skipped in the source", remedy: "run it without the mark" };

/** Drops colours, and the stack frames of jest and Node, which say nothing about the failure. */
function plainFailure(message: string): string {
  return stripVTControlCharacters(message)
    .split("\n")
    .filter((line) => !/^\s+at .*(?:[/\\]node_modules[/\\]|node:internal|<anonymous>\)$)/.test(line))
    .join("\n");
}
