import { groupBy } from "../formats/group-by";
import { type Html, html } from "./html";
import { type Column, distinct, type History, newest, type Result } from "./page-run";
import { scrolling } from "./table";
import { breakable, counted, duration } from "./text";

/** A suite's tests as rows. */
interface Suite {
  readonly name: string;
  readonly rows: readonly Row[];
}

interface Row {
  readonly name: string;
  /** By the columns' keys. */
  readonly cells: ReadonlyMap<string, History>;
}

const WORDS = { passed: "ok", failed: "FAIL", skipped: "skip" } as const;

/** Test × kernel × device × mode, a table for each suite. A column that a test has no result in is empty. */
export function matrixSection(all: readonly History[], anchors: ReadonlyMap<Result, string>): Html {
  const columns = columnsOf(all);
  const suites = suitesOf(all);
  return html`${columnsNote(columns)}
    <div class="controls" hidden>
      <label>Filter <input type="search" id="filter" placeholder="part of a name" autocomplete="off" /></label>
      <label><input type="checkbox" id="only-bad" /> only tests that did not pass everywhere</label>
      <button type="button" id="open-all">Open all</button> <button type="button" id="close-all">Close all</button>
      <span id="shown" role="status"></span>
    </div>
    ${suites.map((suite) => suiteTable(suite, columns, anchors))}`;
}

/** Sorted so that equal kernels, then equal devices stand side by side, each in the order of its first result. */
export function columnsOf(all: readonly History[]): readonly Column[] {
  const found = [...new Map(all.map(([{ column }]) => [column.key, column])).values()];
  const rank = (of: (column: Column) => string): ((column: Column) => number) => {
    const values = distinct(found.map(of));
    return (column) => values.indexOf(of(column));
  };
  const [kernel, device, mode] = [rank((c) => c.kernel), rank((c) => c.device), rank((c) => c.mode)];
  return found.sort((a, b) => kernel(a) - kernel(b) || device(a) - device(b) || mode(a) - mode(b));
}

function suitesOf(all: readonly History[]): readonly Suite[] {
  return [...groupBy(all, ([{ suite }]) => suite)].map(([name, ofSuite]) => ({
    name,
    rows: [...groupBy(ofSuite, ([result]) => result.name)].map(([row, ofRow]) => ({
      name: row,
      cells: new Map(ofRow.map((history) => [history[0].column.key, history])),
    })),
  }));
}

/** Names what all columns share, which the tables then leave out. */
function columnsNote(columns: readonly Column[]): Html {
  const shared = HEADINGS.map(({ label, of }) => {
    const values = distinct(columns.map(of));
    return values.length === 1 ? `${label} ${values[0] ?? ""}` : counted(values.length, label);
  });
  return html`<p>${shared.join(" · ")}</p>`;
}

const HEADINGS = [
  { label: "kernel", of: ({ kernel }: Column) => kernel },
  { label: "device", of: ({ device }: Column) => device },
  { label: "mode", of: ({ mode }: Column) => mode },
] as const;

function suiteTable({ name, rows }: Suite, columns: readonly Column[], anchors: ReadonlyMap<Result, string>): Html {
  const results = rows.flatMap(({ cells }) => [...cells.values()].map(newest));
  const count = (status: keyof typeof WORDS): number => results.filter(({ test }) => test.status === status).length;
  const [passed, failed, skipped] = [count("passed"), count("failed"), count("skipped")];
  const used = columns.filter(({ key }) => rows.some(({ cells }) => cells.has(key)));
  const counts = [
    passed > 0 ? html`<span class="passed">${passed} ok</span>` : undefined,
    failed > 0 ? html` <span class="failed">${failed} FAIL</span>` : undefined,
    skipped > 0 ? html` <span class="skipped">${skipped} skip</span>` : undefined,
  ];
  const table = html`<table class="matrix">
    <thead>
      ${headRows(used)}
    </thead>
    <tbody>
      ${rows.map((row) => tableRow(row, used, anchors))}
    </tbody>
  </table>`;
  const summary = html`<summary>
    <span class="name">${breakable(name)}</span> <span class="counts">${counts}</span>
  </summary>`;
  const body = html`${summary}${scrolling(name, table)}`;
  return failed > 0
    ? html`<details class="suite" open>${body}</details>`
    : html`<details class="suite">${body}</details>`;
}

/** A row of headings for each of kernel, device and mode that differs. The modes' row is always there. */
function headRows(columns: readonly Column[]): Html {
  const rows = HEADINGS.filter(({ label, of }) => label === "mode" || distinct(columns.map(of)).length > 1);
  return html`${rows.map(({ label, of }, level) => {
    const above = rows.slice(0, level + 1);
    const runs = neighbours(columns, (column) => JSON.stringify(above.map((row) => row.of(column))));
    const cells = runs.map(
      (group) =>
        html`<th scope="col" colspan="${group.length}">${breakable(group[0] === undefined ? "" : of(group[0]))}</th>`,
    );
    return html`<tr>
      <th scope="row">${label}</th>
      ${cells}
    </tr>`;
  })}`;
}

function neighbours(columns: readonly Column[], keyOf: (column: Column) => string): readonly (readonly Column[])[] {
  return [...groupBy(columns, keyOf).values()];
}

function tableRow({ name, cells }: Row, columns: readonly Column[], anchors: ReadonlyMap<Result, string>): Html {
  const isGood = [...cells.values()].every((history) => newest(history).test.status === "passed");
  const row = html`<th scope="row">${breakable(name)}</th>
    ${columns.map(({ key }) => cell(cells.get(key), anchors))}`;
  return isGood
    ? html`<tr>
        ${row}
      </tr>`
    : html`<tr class="bad">
        ${row}
      </tr>`;
}

function cell(history: History | undefined, anchors: ReadonlyMap<Result, string>): Html {
  if (history === undefined) return html`<td class="none">–</td>`;
  const result = newest(history);
  const { status, skip, durationMs } = result.test;
  const anchor = anchors.get(result);
  const word = anchor === undefined ? WORDS[status] : html`<a href="#${anchor}">${WORDS[status]}</a>`;
  return html`<td class="${status}" title="${skip?.reason ?? duration(durationMs)}">${word}${mixed(history)}</td>`;
}

/** Marks a test that both passed and failed in this column. */
function mixed(history: History): Html | undefined {
  const failed = history.filter(({ test }) => test.status === "failed").length;
  const passed = history.filter(({ test }) => test.status === "passed").length;
  if (failed === 0 || passed === 0) return undefined;
  return html`<a class="mixed" href="#flaky" title="${failed} of ${history.length} results failed">±</a>`;
}
