import { type Html, html } from "./html";
import { table } from "./table";
import { breakable, folded } from "./text";

/** How much of something ran, of one kind of run. */
export interface PageShare {
  /** The kind of run. */
  readonly title: string;
  /** Lines with code. */
  readonly lines: number;
  /** How many of them ran. */
  readonly reached: number;
}

/** Coverage on the page. */
export interface PageCoverage {
  /** Distinguishes it on the page: its file's name. */
  readonly name: string;
  /** What was measured, a line each. */
  readonly facts: readonly string[];
  /** A row for each folder, with a share for each kind of run. All rows have the same kinds. */
  readonly folders: readonly CoverageRow[];
  /** The same for each file. */
  readonly files: readonly CoverageRow[];
}

interface CoverageRow {
  readonly path: string;
  readonly shares: readonly PageShare[];
}

export function coverageSection(coverages: readonly PageCoverage[]): Html {
  return html`${coverages.map(
    ({ name, facts, folders, files }) =>
      html`<h3>${name}</h3>
        ${facts.map((fact) => html`<p><small>${fact}</small></p>`)}
        ${rows(`Folders of ${name}`, folders)}${folded(`Files (${files.length})`, rows(`Files of ${name}`, files), false)}`,
  )}`;
}

function rows(label: string, all: readonly CoverageRow[]): Html {
  const titles = all[0]?.shares.map(({ title }) => title) ?? [];
  const headings = [{ text: "" }, { text: "lines" }, ...titles.map((text) => ({ text, left: true }))];
  const body = all.map(
    ({ path, shares }) =>
      html`<tr>
        <th scope="row">${breakable(path)}</th>
        <td>${Math.max(0, ...shares.map(({ lines }) => lines))}</td>
        ${shares.map(cell)}
      </tr>`,
  );
  return table(label, headings, body);
}

function cell({ lines, reached }: PageShare): Html {
  const share = lines === 0 ? 0 : reached / lines;
  const words = lines === 0 ? "–" : `${(share * 100).toFixed(1)} %, ${reached}`;
  return html`<td class="left"><span class="bar" style="--share:${share.toFixed(3)}"></span>${words}</td>`;
}
