import { groupBy } from "../formats/group-by";
import { failureFacts, isOfKernel } from "./failure-facts";
import { type Html, html } from "./html";
import { distinct, type PageRun, type Result } from "./page-run";
import { repeatingCommand } from "./repeating-command";
import { breakable, counted, folded } from "./text";

/** Failures with equal texts: one card of the page. */
export interface FailureGroup {
  readonly anchor: string;
  readonly failures: readonly string[];
  readonly results: readonly Result[];
}

/** The newest run's failures come first, those of a run in the order of its tests. */
export function failureGroups(results: readonly Result[]): readonly FailureGroup[] {
  const byRun = [...groupBy(results, ({ run }) => run.name).values()].reverse();
  const failed = byRun.flat().filter(({ test }) => test.status === "failed");
  const groups = groupBy(failed, ({ test }) => JSON.stringify(test.failures ?? []));
  return [...groups.values()].map((group, index) => ({
    anchor: `failure-${index + 1}`,
    failures: group[0].test.failures ?? [],
    results: group,
  }));
}

/** The anchor of each failed result. */
export function anchorsOf(groups: readonly FailureGroup[]): ReadonlyMap<Result, string> {
  return new Map(groups.flatMap(({ anchor, results }) => results.map((result) => [result, anchor] as const)));
}

export function failuresSection(groups: readonly FailureGroup[], runs: readonly PageRun[]): Html {
  if (groups.length === 0) return html`<p>No test failed.</p>`;
  return html`${groups.map((group) => card(group, runs))}`;
}

function card({ anchor, failures, results }: FailureGroup, runs: readonly PageRun[]): Html {
  const notes = distinct(results.flatMap(({ test }) => test.notes ?? []));
  const { errnos, ioctls, messages, kernelLog } = failureFacts(failures, notes);
  const others = notes.filter((note) => !isOfKernel(note));
  const [first] = results;
  if (first === undefined) return html``;
  const count = results.length === 1 ? undefined : html`<span class="tag">${counted(results.length, "time")}</span>`;
  return html`<article class="card" id="${anchor}" tabindex="-1">
    <h3><a class="self" href="#${anchor}">${breakable(`${first.suite}.${first.name}`)}</a>${otherTests(results)}</h3>
    <p>
      ${count}${errnos.map((name) => html`<span class="tag errno">${name}</span>`)}${ioctls.map((name) => html`<span class="tag"><code>${name}</code></span>`)}
    </p>
    ${messages.length === 0 ? undefined : html`<pre tabindex="0">${messages.join("\n\n")}</pre>`}
    ${kernelLog.length === 0 ? undefined : folded("Kernel log", html`<pre tabindex="0">${kernelLog.join("\n")}</pre>`, true)}
    ${
      others.length === 0
        ? undefined
        : folded(
            "Notes",
            html`<ul>
              ${others.map((note) => html`<li>${note}</li>`)}
            </ul>`,
            true,
          )
    }
    ${places(results, runs)} ${commands(results)}
  </article>`;
}

/** How many other tests failed with the same text. The same test in another mode is no other. */
function otherTests(results: readonly Result[]): Html | undefined {
  const others = distinct(results.map(({ suite, name }) => `${suite}.${name}`)).length - 1;
  return others === 0 ? undefined : html` <small>and ${counted(others, "other test")}</small>`;
}

/** How many places of a failure show without a click. */
const SHOWN_PLACES = 8;

function places(results: readonly Result[], runs: readonly PageRun[]): Html {
  const items = results.map(({ run, test, column }) => {
    const facts = [column.device, column.mode, `kernel ${column.kernel}`, ...(runs.length > 1 ? [run.name] : [])];
    const which = test.repetition === undefined ? undefined : html` #${test.repetition}`;
    return html`<li><code>${breakable(test.id)}</code>${which} <small>${facts.join(" · ")}</small></li>`;
  });
  const list = html`<ul class="plain">
    ${items}
  </ul>`;
  return items.length <= SHOWN_PLACES ? list : folded(`${items.length} places`, list, false);
}

/** One command for each target on which it failed. */
function commands(results: readonly Result[]): Html {
  const byTarget = groupBy(results, ({ run }) => JSON.stringify(run.report.command ?? []));
  const lines = [...byTarget.values()].flatMap((group) => {
    const ids = distinct(group.map(({ test }) => test.id));
    return repeatingCommand(group[0].run.report.command, ids);
  });
  const blocks = lines.map(
    (line) =>
      html`<div class="command">
        <pre tabindex="0"><code>${line}</code></pre>
        <button type="button" data-copy hidden>Copy</button>
      </div>`,
  );
  return html`<p class="label">To see it again:</p>
    ${blocks}`;
}
