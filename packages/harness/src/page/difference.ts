import { type Html, html } from "./html";
import { distinct, histories, type History, newest, type PageRun, type Result } from "./page-run";
import { breakable, counted, folded } from "./text";

/** A test in two runs. */
interface Pair {
  readonly before: Result | undefined;
  readonly after: Result | undefined;
}

/** What changed from one run to another, in the order in which a reader wants it. */
export interface Difference {
  readonly before: PageRun;
  readonly after: PageRun;
  readonly changes: readonly { readonly kind: ChangeKind; readonly pairs: readonly Pair[] }[];
}

type Status = Result["test"]["status"] | "none";

/** The first kind that fits a test is its kind. A test that fits none has not changed. */
const KINDS = [
  {
    title: "New failures",
    open: true,
    fits: (before: Status, after: Status) => after === "failed" && before !== "failed",
  },
  {
    title: "Passed before, skipped now",
    open: true,
    fits: (before: Status, after: Status) => before === "passed" && after === "skipped",
  },
  { title: "Gone, with a result before", open: true, fits: (_before: Status, after: Status) => after === "none" },
  { title: "Mended", open: true, fits: (before: Status, after: Status) => before === "failed" && after === "passed" },
  {
    title: "Failed before, skipped now",
    open: true,
    fits: (before: Status, after: Status) => before === "failed" && after === "skipped",
  },
  {
    title: "Skipped before, passed now",
    open: false,
    fits: (before: Status, after: Status) => before === "skipped" && after === "passed",
  },
  {
    title: "Failed before and now",
    open: false,
    fits: (before: Status, after: Status) => before === "failed" && after === "failed",
  },
  { title: "New tests", open: false, fits: (before: Status) => before === "none" },
] as const;

type ChangeKind = (typeof KINDS)[number];

/** Compares each run with the last one before it that has tests of the same names. The newest comes first. */
export function differencesOf(runs: readonly RunResults[]): readonly Difference[] {
  const found: Difference[] = [];
  for (const [index, after] of runs.entries()) {
    const before = runs.slice(0, index).findLast((earlier) => haveCommon(earlier, after));
    if (before !== undefined) found.unshift(differenceOf(before, after));
  }
  return found;
}

/** A longer list than this starts closed: a run of a few tests, say, lacks all others. New failures always show. */
const MOST_OPEN = 30;

interface RunResults {
  readonly run: PageRun;
  readonly results: readonly Result[];
}

/** Whether a test is in both, on the same device. */
function haveCommon(before: RunResults, after: RunResults): boolean {
  const keyOf = commonKey(before.results, after.results);
  const keys = new Set(before.results.map(keyOf));
  return after.results.some((result) => keys.has(keyOf(result)));
}

function differenceOf(before: RunResults, after: RunResults): Difference {
  const keyOf = commonKey(before.results, after.results);
  const old = new Map([...histories(before.results).values()].map((history) => entry(history, keyOf)));
  const now = new Map([...histories(after.results).values()].map((history) => entry(history, keyOf)));
  const keys = distinct([...now.keys(), ...old.keys()]);
  const pairs = keys.map((key): Pair => ({ before: old.get(key), after: now.get(key) }));
  const kindOf = ({ before, after }: Pair): ChangeKind | undefined =>
    KINDS.find(({ fits }) => fits(before?.test.status ?? "none", after?.test.status ?? "none"));
  const changes = KINDS.map((kind) => ({ kind, pairs: pairs.filter((pair) => kindOf(pair) === kind) }));
  return { before: before.run, after: after.run, changes: changes.filter((change) => change.pairs.length > 0) };
}

function entry(history: History, keyOf: (result: Result) => string): readonly [string, Result] {
  const result = newest(history);
  return [keyOf(result), result];
}

/** The kernel may differ. So may the device's address where each run has one device, and the mode where ids name it. */
function commonKey(before: readonly Result[], after: readonly Result[]): (result: Result) => string {
  const devices = (results: readonly Result[]): readonly string[] =>
    distinct(results.map(({ column }) => column.device));
  const haveOne = devices(before).length === 1 && devices(after).length === 1;
  return ({ column, test }) => JSON.stringify([haveOne ? "" : column.device, column.mode, test.id]);
}

export function differenceSection(differences: readonly Difference[], anchors: ReadonlyMap<Result, string>): Html {
  const [latest, ...others] = differences;
  if (latest === undefined) return html`<p>There are no two runs with the same tests.</p>`;
  return html`${oneDifference(latest, anchors)}${others.map((one) => {
    const title = `${one.before.name} → ${one.after.name}: ${failuresText(one)}`;
    return folded(title, oneDifference(one, anchors), false);
  })}`;
}

function failuresText({ changes }: Difference): string {
  const count = changes.find(({ kind }) => kind === KINDS[0])?.pairs.length ?? 0;
  return count === 0 ? "no new failures" : counted(count, "new failure");
}

function oneDifference(difference: Difference, anchors: ReadonlyMap<Result, string>): Html {
  const { before, after, changes } = difference;
  const head = html`<p><b>${before.name}</b> → <b>${after.name}</b>: ${failuresText(difference)}</p>`;
  if (changes.length === 0)
    return html`${head}
      <p>Every test has the same result.</p>`;
  return html`${head}${changes.map(({ kind, pairs }) =>
    folded(
      `${kind.title} (${pairs.length})`,
      html`<ul class="plain">
        ${pairs.map((pair) => pairItem(pair, anchors))}
      </ul>`,
      kind === KINDS[0] || (kind.open && pairs.length <= MOST_OPEN),
    ),
  )}`;
}

function pairItem({ before, after }: Pair, anchors: ReadonlyMap<Result, string>): Html {
  const result = after ?? before;
  if (result === undefined) return html``;
  const { column, test } = result;
  const change = html`${status(before, anchors)} → ${status(after, anchors)}`;
  return html`<li>${change} <code>${breakable(test.id)}</code> <small>${column.device} · ${column.mode}</small></li>`;
}

function status(result: Result | undefined, anchors: ReadonlyMap<Result, string>): Html {
  if (result === undefined) return html`<span class="word none">none</span>`;
  const anchor = anchors.get(result);
  const word = html`<span class="word ${result.test.status}">${result.test.status}</span>`;
  return anchor === undefined ? word : html`<a href="#${anchor}">${word}</a>`;
}
