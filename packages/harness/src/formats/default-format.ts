import { type RunOutcome, totalsLine, totalsOf } from "../outcome/run-outcome";
import { fullId } from "../outcome/test-identity";
import { duration } from "./duration";
import { failedSection, notesSection, skippedSection } from "./grouped-sections";
import type { ReportFormatFactory } from "./report-format";
import { resultTables } from "./result-table";
import { suiteSections } from "./suite-table";
import { wrapLine } from "./wrap-line";

const WORDS = { passed: "ok  ", failed: "FAIL", skipped: "skip" } as const;

/**
 * For people: one line per test (on a terminal, one line for all, and further lines only for what did not pass). Then
 * come the skips by reason, the notes, with `plan.verbose` every test, the totals by mode and suite, and the failures by
 * reason, where a person sees them first. The last line holds only the totals.
 */
export const defaultFormat: ReportFormatFactory = (sink, plan) => {
  const { verbose = false } = plan;
  const columns = (): number => sink.columns ?? USUAL_COLUMNS;
  const line = (text: string) => sink.write(`${text}\n`);
  // A pipe's reader looks for whole lines.
  const prose = (text: string): readonly string[] =>
    sink.interactive ? text.split("\n").flatMap((part) => wrapLine(part, columns())) : [text];
  const live = (text: string): void => {
    // A longer line would wrap, and could not be cleared.
    if (sink.interactive) sink.write(`${CLEAR_LINE}${text.slice(0, columns() - 1)}`);
  };
  const total = plan.size === undefined ? "" : `/${plan.size.tests}`;
  let done = 0;

  for (const headline of plan.headline.flatMap(prose)) line(headline);

  return {
    started(test) {
      live(`${done + 1}${total} ${fullId(test)}`);
    },
    underWay: live,
    finished(test) {
      done += 1;
      if (sink.interactive) sink.write(CLEAR_LINE);
      if (sink.interactive && !verbose && test.status === "passed") return;
      line(`${WORDS[test.status]} ${fullId(test)} (${duration(test.durationMs)})`);
      if (test.status === "failed") for (const failure of test.failures) line(indent(failure, 5));
    },
    end(run) {
      if (sink.interactive) sink.write(CLEAR_LINE);
      const sections = [
        skippedSection(run.tests, verbose).flatMap(prose),
        notesSection(run, verbose).flatMap(prose),
        verbose ? resultTables(run.tests, plan) : [],
        ...suiteSections(run.tests, plan),
        failedSection(run.tests, verbose).flatMap(prose),
        outsideSection(run),
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

function outsideSection({ errors }: RunOutcome): string[] {
  return errors.length === 0 ? [] : ["Outside any test", ...errors.map((error) => indent(error, 2))];
}

function indent(text: string, columns: number): string {
  return text.replace(/^(?=.)/gm, " ".repeat(columns));
}
