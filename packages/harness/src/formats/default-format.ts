import { type RunOutcome, totalsLine, totalsOf } from "../outcome/run-outcome";
import type { SkipReason } from "../outcome/skip";
import { fullId } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import type { ReportFormatFactory } from "./report-format";
import { resultTables } from "./result-table";

const WORDS = { passed: "ok  ", failed: "FAIL", skipped: "skip" } as const;

/**
 * For people: one line per test (on a terminal, one line for all, and further lines only for what did not pass). Then
 * come the failures, the skips with reasons, the notes and the tables. The last line holds only the totals.
 */
export const defaultFormat: ReportFormatFactory = (sink, plan) => {
  const line = (text: string) => sink.write(`${text}\n`);
  const live = (text: string): void => {
    // A longer line would wrap, and could not be cleared.
    if (sink.interactive) sink.write(`${CLEAR_LINE}${text.slice(0, (sink.columns ?? USUAL_COLUMNS) - 1)}`);
  };
  const total = plan.size === undefined ? "" : `/${plan.size.tests}`;
  let done = 0;

  for (const headline of plan.headline) line(headline);

  return {
    started(test) {
      live(`${done + 1}${total} ${fullId(test)}`);
    },
    underWay: live,
    finished(test) {
      done += 1;
      if (sink.interactive) sink.write(CLEAR_LINE);
      if (sink.interactive && test.status === "passed") return;
      line(`${WORDS[test.status]} ${fullId(test)} (${duration(test.durationMs)})`);
      if (test.status === "failed") for (const failure of test.failures) line(indent(failure, 5));
    },
    end(run) {
      if (sink.interactive) sink.write(CLEAR_LINE);
      const sections = [
        failedSection(run.tests),
        skippedSection(run.tests),
        notesSection(run),
        resultTables(run.tests, plan),
        run.errors.length === 0 ? [] : ["Outside any test", ...run.errors.map((error) => indent(error, 2))],
      ];
      for (const section of sections) {
        if (section.length > 0) line(["", ...section].join("\n"));
      }
      line(`\nTook ${duration(run.durationMs)}.\n${totalsLine(totalsOf(run.tests))}`);
    },
  };
};

export const CLEAR_LINE = "\r\u001b[K";
const USUAL_COLUMNS = 80;

function failedSection(tests: readonly TestOutcome[]): string[] {
  const failed = tests.filter((test) => test.status === "failed");
  return failed.length === 0 ? [] : ["Failed", ...failed.map((test) => `  ${fullId(test)}`)];
}

/** Reports skips of one reason and remedy once. */
function skippedSection(tests: readonly TestOutcome[]): string[] {
  const groups = new Map<string, { skip: SkipReason; ids: string[] }>();
  for (const test of tests) {
    if (test.skip === undefined) continue;
    const key = `${test.skip.reason}\n${test.skip.remedy}`;
    const group = groups.get(key) ?? { skip: test.skip, ids: [] };
    group.ids.push(fullId(test));
    groups.set(key, group);
  }
  if (groups.size === 0) return [];
  const lines = ["Skipped"];
  for (const { skip, ids } of groups.values()) {
    const [first = ""] = ids;
    lines.push(`  ${ids.length === 1 ? first : `${ids.length} tests (${first}, …)`}: ${skip.reason}`);
    lines.push(`    remedy: ${skip.remedy}`);
  }
  return lines;
}

/** Reports equal notes of several tests once, with the number of tests. */
function notesSection({ tests, notes = [] }: RunOutcome): string[] {
  const ids = new Map<string, string[]>();
  for (const test of tests) {
    for (const note of test.notes) ids.set(note, [...(ids.get(note) ?? []), fullId(test)]);
  }
  if (ids.size + notes.length === 0) return [];
  return [
    "Notes",
    ...notes.map((note) => `  ${note}`),
    ...[...ids].map(([note, of]) => {
      const [first = ""] = of;
      return `  ${of.length === 1 ? first : `${of.length} tests (${first}, …)`}: ${note.replace(/\n/g, "\n    ")}`;
    }),
  ];
}

function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function indent(text: string, columns: number): string {
  return text.replace(/^(?=.)/gm, " ".repeat(columns));
}
