import { CUT_HERE, FRAME, type Splat, SPLATS } from "./splats";

/** One report of the kernel, whole. */
export interface SplatReport {
  /** The kind's name: `panic`. */
  readonly name: string;
  /** What in the kernel prints it; undefined for a report of a kind that the table does not have. */
  readonly source: string | undefined;
  /** The report's lines, without their time stamps. */
  readonly lines: readonly string[];
  /** Whether its end is missing: the kernel may still be printing. */
  readonly open: boolean;
}

/** The most lines of a report whose end does not come. */
const MOST_LINES = 400;
/** A frame begins a report only if one of this many lines says so. */
const FRAME_LINES = 3;

interface Growing {
  splat: Splat | undefined;
  readonly lines: string[];
  readonly framed: boolean;
}

/** The reports among the kernel's lines, in order. Mixed reports of several CPUs come out as one. */
export function findReports(lines: readonly string[]): SplatReport[] {
  const reports: SplatReport[] = [];
  let growing: Growing | undefined;
  const finish = (open: boolean): void => {
    if (growing !== undefined && (growing.splat !== undefined || !growing.framed))
      reports.push(reportOf(growing, open));
    growing = undefined;
  };
  for (const line of lines) {
    if (CUT_HERE.test(line)) finish(false);
    if (growing === undefined) {
      growing = begin(line);
      if (growing?.splat?.end === "only") finish(false);
      continue;
    }
    growing.lines.push(line);
    growing.splat ??= splatOf(line);
    if (isOver(growing, line)) finish(false);
  }
  finish(true);
  return reports;
}

function begin(line: string): Growing | undefined {
  const splat = splatOf(line);
  const framed = FRAME.test(line);
  return splat === undefined && !framed && !CUT_HERE.test(line) ? undefined : { splat, lines: [line], framed };
}

function isOver({ splat, lines, framed }: Growing, line: string): boolean {
  if (splat === undefined) return framed && lines.length >= FRAME_LINES;
  return splat.end === "only" || splat.end.test(line) || lines.length >= MOST_LINES;
}

function splatOf(line: string): Splat | undefined {
  return SPLATS.find(({ pattern }) => pattern.test(line));
}

function reportOf({ splat, lines }: Growing, open: boolean): SplatReport {
  return { name: splat?.name ?? "report", source: splat?.source, lines, open };
}
