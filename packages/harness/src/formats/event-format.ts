import type { RunOutcome } from "../outcome/run-outcome";
import type { TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import type { ReportFormatFactory, RunPlan } from "./report-format";

/** A run as it goes on, for another process that makes one report of several. */
export type ReportEvent =
  | { readonly kind: "plan"; readonly plan: RunPlan }
  | { readonly kind: "started"; readonly test: TestIdentity }
  | { readonly kind: "finished"; readonly test: TestOutcome }
  | { readonly kind: "end"; readonly run: Omit<RunOutcome, "tests"> }
  /** There is no run. `message` says why, and the process exits with `exitCode`. */
  | { readonly kind: "refused"; readonly message: string; readonly exitCode: number };

/** Stands before each event, which distinguishes it from what a test prints (RFC 7464). */
const RECORD_SEPARATOR = "\u001e";

/** Writes one event a line. */
export const eventFormat: ReportFormatFactory = (sink, plan) => {
  const write = (event: ReportEvent): void => sink.write(eventLine(event));
  write({ kind: "plan", plan });
  return {
    started: (test) => write({ kind: "started", test }),
    finished: (test) => write({ kind: "finished", test }),
    end: ({ tests: _tests, ...run }) => write({ kind: "end", run }),
  };
};

/** An event as a line, for a process that watches this one. */
export function eventLine(event: ReportEvent): string {
  return `${RECORD_SEPARATOR}${JSON.stringify(event)}\n`;
}

/** The event of a line; undefined for a line that holds none, or only part of one. */
export function parseEvent(line: string): ReportEvent | undefined {
  const start = line.indexOf(RECORD_SEPARATOR);
  if (start < 0) return undefined;
  try {
    return JSON.parse(line.slice(start + 1)) as ReportEvent;
  } catch {
    return undefined;
  }
}
