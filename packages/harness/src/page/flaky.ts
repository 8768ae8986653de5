import { type Html, html } from "./html";
import type { History } from "./page-run";
import { table } from "./table";
import { breakable } from "./text";

/** Results of a test that the page shows, the newest. */
const SHOWN_RESULTS = 60;

const MARKS = { passed: "✓", failed: "✗", skipped: "·" } as const;

/** Tests that both passed and failed on the same kernel, device and mode. Those that changed most often come first. */
export function flakyOf(all: readonly History[]): readonly History[] {
  const flaky = all.filter((history) => {
    const statuses = new Set(history.map(({ test }) => test.status));
    return statuses.has("passed") && statuses.has("failed");
  });
  return flaky.sort((a, b) => changes(b) - changes(a));
}

function changes(history: History): number {
  const ran = history.filter(({ test }) => test.status !== "skipped");
  return ran.filter(({ test }, index) => index > 0 && ran[index - 1]?.test.status !== test.status).length;
}

export function flakySection(flaky: readonly History[]): Html {
  if (flaky.length === 0) return html`<p>No test both passed and failed on the same kernel, device and mode.</p>`;
  const rows = flaky.map((history) => {
    const [{ test, column }] = history;
    const ran = history.filter((result) => result.test.status !== "skipped");
    const failed = ran.filter((result) => result.test.status === "failed").length;
    const marks = history
      .slice(-SHOWN_RESULTS)
      .map(({ test: { status } }) => html`<span class="${status}">${MARKS[status]}</span>`);
    return html`<tr>
      <th scope="row">
        ${breakable(test.id)}<br /><small>${column.device} · ${column.mode} · kernel ${column.kernel}</small>
      </th>
      <td>${failed} of ${ran.length}</td>
      <td class="marks"><span aria-hidden="true">${marks}</span></td>
    </tr>`;
  });
  return table("Flaky tests", [{ text: "test" }, { text: "failed" }, { text: "results, old to new" }], rows);
}
