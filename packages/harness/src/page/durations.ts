import { groupBy } from "../formats/group-by";
import { type Html, html } from "./html";
import { type History, newest } from "./page-run";
import { table } from "./table";
import { breakable, duration, folded } from "./text";

const SLOWEST = 20;
const PERCENTILES = [50, 90, 99] as const;

/** The newest results' durations: of suites, and of the slowest tests beside those of all runs. */
export function durationsSection(all: readonly History[]): Html {
  const measured = all.filter((history) => newest(history).test.status !== "skipped");
  if (measured.length === 0) return html`<p>No test ran.</p>`;
  const times = measured.map((history) => newest(history).test.durationMs).sort((a, b) => a - b);
  const spread = PERCENTILES.map((percent) => `${percent} % took at most ${duration(percentile(times, percent))}`);
  return html`<p>
      Of ${times.length} results, ${spread.join(", ")}, and the longest took ${duration(times.at(-1) ?? 0)}.
    </p>
    ${folded("Suites", suites(measured), true)}
    ${folded(`The ${Math.min(SLOWEST, measured.length)} slowest`, slowest(measured), true)}`;
}

/** Nearest rank: the least of the sorted values that `percent` of them do not exceed. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
}

function suites(measured: readonly History[]): Html {
  const sums = [...groupBy(measured, ([{ suite }]) => suite)].map(([name, own]) => ({
    name,
    count: own.length,
    milliseconds: own.reduce((sum, history) => sum + newest(history).test.durationMs, 0),
  }));
  sums.sort((a, b) => b.milliseconds - a.milliseconds);
  const most = sums[0]?.milliseconds ?? 0;
  const rows = sums.map(
    ({ name, count, milliseconds }) =>
      html`<tr>
        <th scope="row">${breakable(name)}</th>
        <td>${count}</td>
        ${barCell(milliseconds, most)}
      </tr>`,
  );
  const headings = [{ text: "suite" }, { text: "results" }, { text: "time", left: true }];
  return table("Durations of suites", headings, rows);
}

function slowest(measured: readonly History[]): Html {
  const longest = [...measured].sort((a, b) => newest(b).test.durationMs - newest(a).test.durationMs).slice(0, SLOWEST);
  const most = longest[0] === undefined ? 0 : newest(longest[0]).test.durationMs;
  const rows = longest.map((history) => {
    const { test, column } = newest(history);
    const all = history.map((result) => result.test.durationMs).sort((a, b) => a - b);
    const range = `${duration(all[0] ?? 0)} to ${duration(all.at(-1) ?? 0)} in ${all.length} results`;
    const facts = [column.device, column.mode, `kernel ${column.kernel}`, ...(all.length > 1 ? [range] : [])];
    return html`<tr>
      <th scope="row">${breakable(test.id)}<br /><small>${facts.join(" · ")}</small></th>
      ${barCell(test.durationMs, most)}
    </tr>`;
  });
  return table("The slowest tests", [{ text: "test" }, { text: "time", left: true }], rows);
}

function barCell(milliseconds: number, most: number): Html {
  const share = most === 0 ? 0 : milliseconds / most;
  return html`<td class="left">
    <span class="bar" style="--share:${share.toFixed(3)}"></span>${duration(milliseconds)}
  </td>`;
}
