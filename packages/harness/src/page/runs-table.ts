import { type Html, html } from "./html";
import { distinct, kernelOf, type PageRun } from "./page-run";
import { table } from "./table";
import { breakable, duration } from "./text";

const HEADINGS = [
  { text: "run" },
  { text: "began", left: true },
  { text: "kernel", left: true },
  { text: "devices", left: true },
  { text: "passed" },
  { text: "failed" },
  { text: "skipped" },
  { text: "took" },
  { text: "exit code" },
] as const;

/** The runs, and what went wrong in them outside any test. */
export function runsSection(runs: readonly PageRun[]): Html {
  const rows = runs.map(({ name, report }) => {
    const { totals, started, shard, durationMs, exitCode } = report;
    const devices = distinct(report.tests.map(({ device = "no device" }) => device)).join(", ");
    const part = shard === undefined ? undefined : html` <small>shard ${shard.index}/${shard.count}</small>`;
    return html`<tr>
      <th scope="row">${breakable(name)}${part}</th>
      <td class="left">${started ?? "unknown"}</td>
      <td class="left">${kernelOf(report)}</td>
      <td class="left">${devices}</td>
      <td class="passed">${totals.passed}</td>
      <td class="${totals.failed > 0 ? "failed" : "none"}">${totals.failed}</td>
      <td class="${totals.skipped > 0 ? "skipped" : "none"}">${totals.skipped}</td>
      <td>${duration(durationMs)}</td>
      <td>${exitCode}</td>
    </tr>`;
  });
  return html`${table("Runs", HEADINGS, rows)}${runs.map(outsideTests)}`;
}

function outsideTests({ name, report }: PageRun): Html {
  const errors = report.errors.map(
    (error) =>
      html`<div class="card">
        <h3>${name}: outside any test</h3>
        <pre tabindex="0">${error}</pre>
      </div>`,
  );
  const lines = [...report.target, ...(report.notes ?? [])];
  return html`${errors}
    <p><small>${name}: ${lines.map((line, index) => (index === 0 ? line : html`<br />${line}`))}</small></p>`;
}
