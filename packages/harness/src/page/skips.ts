import { groupBy } from "../formats/group-by";
import { isOfKernel } from "./failure-facts";
import { type Html, html, type Part } from "./html";
import { distinct, type Result } from "./page-run";
import { breakable, counted, folded } from "./text";

/** Skips of one reason and remedy, the most frequent first. */
export function skipsSection(results: readonly Result[]): Html {
  const skipped = results.filter(({ test }) => test.status === "skipped");
  if (skipped.length === 0) return html`<p>No test was skipped.</p>`;
  const groups = byCount(groupBy(skipped, ({ test }) => JSON.stringify([test.skip?.reason, test.skip?.remedy])));
  return html`${groups.map((group) => {
    const { reason = "no reason given", remedy } = group[0]?.test.skip ?? {};
    return html`<div class="card">
      <p><b>${counted(group.length, "test")}</b>: ${reason}</p>
      ${remedy === undefined ? undefined : html`<p class="remedy">Remedy: ${remedy}</p>`}${testList(group)}
    </div>`;
  })}`;
}

/** The notes, equal ones once. What was not checked comes first. The kernel's lines stand with the failures. */
export function notesSection(results: readonly Result[]): Html {
  const notes = results.flatMap((result) => (result.test.notes ?? []).map((note) => ({ note, result })));
  const told = notes.filter(({ note }) => !isOfKernel(note));
  const groups = byCount(groupBy(told, ({ note }) => note));
  const unchecked = groups.filter(([first]) => first?.note.startsWith("not checked: "));
  const others = groups.filter((group) => !unchecked.includes(group));
  const list = (of: typeof groups): Html =>
    html`<ul>
      ${of.map((group) => html`<li>${group[0]?.note} <small>${where(group.map(({ result }) => result))}</small></li>`)}
    </ul>`;
  return html`${unchecked.length === 0 ? undefined : folded(`Not checked (${unchecked.length})`, list(unchecked), true)}
  ${others.length === 0 ? undefined : folded(`Other notes (${others.length})`, list(others), false)}`;
}

function where(results: readonly Result[]): Part {
  const [first] = results;
  return first === undefined || results.length > 1 ? counted(results.length, "test") : breakable(first.test.id);
}

function byCount<T>(groups: ReadonlyMap<string, readonly T[]>): readonly (readonly T[])[] {
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

function testList(results: readonly Result[]): Html {
  const items = distinct(results.map(({ test, column }) => JSON.stringify([test.id, column.device]))).map((pair) => {
    const [id = "", device = ""] = JSON.parse(pair) as string[];
    return html`<li><code>${breakable(id)}</code> <small>${device}</small></li>`;
  });
  return folded(
    "Which",
    html`<ul class="plain">
      ${items}
    </ul>`,
    false,
  );
}
