import type { RunOutcome } from "../outcome/run-outcome";
import { fullId } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { groupBy } from "./group-by";

/** Ids of one group that are listed. */
const MOST_IDS = 10;
/** Notes that are listed, besides those of what was not checked. */
const MOST_NOTES = 10;
/** Characters of a failure's reason. The whole text stands where the test failed. */
const LONGEST_REASON = 200;

/** The failures by their reasons, the most frequent first: the ids, and below them what they have in common. */
export function failedSection(tests: readonly TestOutcome[], verbose: boolean): string[] {
  const failed = tests.filter((test) => test.status === "failed");
  const lines = grouped(failed, failureReason).flatMap(([reason, group]) => {
    const count = group.length === 1 ? "" : `${group.length} tests: `;
    return [...idLines(group, verbose).map((id) => `  ${id}`), ...(reason === "" ? [] : [`    ${count}${reason}`])];
  });
  return lines.length === 0 ? [] : ["Failed", ...lines];
}

/** The first line of the failure. A failed `expect` says there only which one it was: what it saw stands below. */
function failureReason({ failures: [failure = ""] }: TestOutcome): string {
  const [first = "", ...others] = failure.split("\n");
  const seen = others.filter((line) => /^(?:Expected|Received)\b.*: /.test(line)).map((line) => line.trim());
  const reason = [first, ...seen].join("; ").replace(/ +/g, " ");
  return reason.length > LONGEST_REASON ? `${reason.slice(0, LONGEST_REASON)}…` : reason;
}

/** The skips by reason and remedy, the most frequent first. */
export function skippedSection(tests: readonly TestOutcome[], verbose: boolean): string[] {
  const skipped = tests.filter((test) => test.skip !== undefined);
  const keyOf = ({ skip }: TestOutcome): string => JSON.stringify([skip?.reason, skip?.remedy]);
  const lines = grouped(skipped, keyOf).flatMap(([, group]) => {
    const { reason = "", remedy = "" } = group[0]?.skip ?? {};
    return [`  ${groupName(group)}: ${reason}`, `    remedy: ${remedy}`, ...moreIds(group, verbose)];
  });
  return lines.length === 0 ? [] : ["Skipped", ...lines];
}

/** Reports equal notes of several tests once, with the number of tests. What was not checked is always there. */
export function notesSection({ tests, notes = [] }: RunOutcome, verbose: boolean): string[] {
  const all = tests.flatMap((test) => test.notes.map((note) => ({ note, test })));
  const groups = grouped(all, ({ note }) => note);
  const isUnchecked = ([note]: (typeof groups)[number]): boolean => note.startsWith("not checked: ");
  const others = groups.filter((group) => !isUnchecked(group));
  const shown = verbose ? others : others.slice(0, MOST_NOTES);
  const lines = [...groups.filter(isUnchecked), ...shown].flatMap(([note, group]) => {
    const own = group.map(({ test }) => test);
    return [`  ${groupName(own)}: ${note.replace(/\n/g, "\n    ")}`, ...moreIds(own, verbose)];
  });
  const left = others.length - shown.length;
  const rest = left === 0 ? [] : [`  … ${left} more notes (-v shows them)`];
  return lines.length + notes.length === 0 ? [] : ["Notes", ...notes.map((note) => `  ${note}`), ...lines, ...rest];
}

function groupName(group: readonly TestOutcome[]): string {
  const [first] = group;
  const id = first === undefined ? "" : fullId(first);
  return group.length === 1 ? id : `${group.length} tests (${id}, …)`;
}

/** The ids of a group whose name shows only the first. */
function moreIds(group: readonly TestOutcome[], verbose: boolean): readonly string[] {
  return verbose && group.length > 1 ? group.map((test) => `      ${fullId(test)}`) : [];
}

function idLines(group: readonly TestOutcome[], verbose: boolean): readonly string[] {
  const ids = group.map((test) => fullId(test));
  if (verbose || ids.length <= MOST_IDS) return ids;
  return [...ids.slice(0, MOST_IDS), `… and ${ids.length - MOST_IDS} more (-v shows them)`];
}

/** The values by their keys, the largest group first, else in their order. */
function grouped<T>(values: readonly T[], keyOf: (value: T) => string): readonly (readonly [string, readonly T[]])[] {
  return [...groupBy(values, keyOf)].sort(([, a], [, b]) => b.length - a.length);
}
