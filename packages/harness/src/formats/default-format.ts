import { type RunOutcome, totalsLine, totalsOf } from "../outcome/run-outcome";
import { fullId } from "../outcome/test-identity";
import { duration } from "./duration";
import { failedSection, notesSection, skippedSection } from "./grouped-sections";
import { columnsOf, LiveLine } from "./live-line";
import { paintFor } from "./paint";
import type { ReportFormatFactory } from "./report-format";
import { resultTables } from "./result-table";
import { suiteSections } from "./suite-table";
import { wrapLine } from "./wrap-line";

const WORDS = { passed: "ok  ", failed: "FAIL", skipped: "skip" } as const;

/**
 * For people: one line per test (on a terminal, one live line for all, and further lines only for failures). Then come
 * the skips by reason, the notes, with `plan.verbose` every test, the totals by mode and suite, and the failures by
 * reason, where a person sees them first. The last line holds only the totals.
 */
export const defaultFormat: ReportFormatFactory = (sink, plan) => {
  const { verbose = false } = plan;
  const paint = paintFor(sink);
  const live = new LiveLine(sink, plan);
  const line = (text: string) => sink.write(`${text}\n`);
  // A pipe's reader looks for whole lines.
  const prose = (text: string): readonly string[] =>
    sink.interactive ? text.split("\n").flatMap((part) => wrapLine(part, columnsOf(sink))) : [text];

  for (const headline of plan.headline.flatMap(prose)) line(headline);

  return {
    started(test) {
      live.started(test);
    },
    underWay(text) {
      live.show(text);
    },
    finished(test) {
      live.finished(test);
      // A person finds the skips by reason at the end. Who reads a log looks for each test.
      if (sink.interactive && !verbose && test.status !== "failed") return;
      const word = WORDS[test.status];
      const text = prose(`${word} ${fullId(test)} (${duration(test.durationMs)})`).join("\n");
      line(`${paint(test.status, word)}${text.slice(word.length)}`);
      if (test.status === "failed")
        for (const part of test.failures.flatMap((failure) => prose(indent(failure, 5)))) line(part);
    },
    end(run) {
      live.clear();
      const sections = [
        skippedSection(run.tests, verbose).flatMap(prose),
        notesSection(run, verbose).flatMap(prose),
        ...(verbose ? resultTables(run.tests, plan, paint) : []),
        ...suiteSections(run.tests, plan, paint),
        failedSection(run.tests, verbose).flatMap(prose),
        outsideSection(run).flatMap(prose),
      ];
      for (const [title, ...lines] of sections) {
        if (title !== undefined) line(["", paint("title", title), ...lines].join("\n"));
      }
      line(`\nTook ${duration(run.durationMs)}.\n${totalsLine(totalsOf(run.tests), paint)}`);
    },
  };
};

function outsideSection({ errors }: RunOutcome): string[] {
  return errors.length === 0 ? [] : ["Outside any test", ...errors.map((error) => indent(error, 2))];
}

function indent(text: string, columns: number): string {
  return text.replace(/^(?=.)/gm, " ".repeat(columns));
}
