import type { ExpectedMessage } from "./expect-kernel-log";
import type { KernelFindings } from "./kernel-watch";
import type { SplatReport } from "./splat-reports";

/** What the kernel's messages during a test mean for it. */
export interface KernelVerdict {
  /** Texts of failures. */
  readonly failures: readonly string[];
  /** Lines for the test's notes. */
  readonly notes: readonly string[];
}

/** The most IOMMU faults that a test's notes quote. */
const MOST_FAULTS = 10;

/** What a test expects of the kernel's messages. */
export interface KernelExpectation {
  readonly expected?: readonly ExpectedMessage[] | undefined;
  /** Whether the test ended before it provoked them. */
  readonly skipped?: boolean;
}

/**
 * Compares what the kernel said during a test with what the test expects: each report not expected, and each expected
 * text that did not come, fails it.
 */
export function judge(
  findings: KernelFindings,
  { expected = [], skipped = false }: KernelExpectation = {},
): KernelVerdict {
  const { reports, lines, lost } = findings;
  // A copy without the flags g and y: `lastIndex` must not carry over to the next line.
  const messages = expected.map(({ pattern: { source, flags }, finding }) => ({
    pattern: new RegExp(source, flags.replace(/[gy]/g, "")),
    finding,
  }));
  const texts = [...lines, ...reports.map(textOf)];
  const come = messages.filter(({ pattern }) => texts.some((text) => pattern.test(text)));
  const missing = skipped ? [] : messages.filter((message) => message.finding === undefined && !come.includes(message));
  const surprising = reports.filter((report) => !messages.some(({ pattern }) => pattern.test(textOf(report))));
  return {
    failures: [
      ...surprising.map((report) => `the kernel reported ${describeReport(report)}`),
      ...missing.map(({ pattern }) => `the kernel did not say what this test provokes: ${String(pattern)}`),
    ],
    notes: [
      ...come.flatMap(({ finding }) => (finding === undefined ? [] : [`this kernel has the defect of ${finding}`])),
      ...faultNotes(findings.faults),
      ...lostNotes(lost),
    ],
  };
}

/** Gives the kind, what prints it, and the whole report. */
export function describeReport(report: SplatReport): string {
  const { name, source, open } = report;
  const by = source === undefined ? "" : ` (${source})`;
  return `${name}${by}${open ? ", whose end did not come" : ""}:\n${textOf(report)}`;
}

/** The note on messages of the kernel that nobody could read, if there were any. */
export function lostNotes(lost: number): string[] {
  if (lost === 0) return [];
  const messages = lost === 1 ? "1 message" : `${lost} messages`;
  return [
    `not checked: ${messages} of the kernel: overwritten before they could be read (a larger log: boot with log_buf_len=16M)`,
  ];
}

function faultNotes(faults: readonly string[]): string[] {
  const more = faults.length - MOST_FAULTS;
  const quoted = faults.slice(0, MOST_FAULTS).map((line) => `kernel: ${line}`);
  return more > 0 ? [...quoted, `kernel: ${more} more IOMMU faults`] : quoted;
}

function textOf({ lines }: SplatReport): string {
  return lines.join("\n");
}
