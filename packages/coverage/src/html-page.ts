import { fileShares, folderShares, functionShares, percent, type Share } from "./coverage-table";
import type { Coverage, FileCoverage } from "./file-coverage";

/** What the page tells beside the lines. */
export interface PageOptions {
  /** The page's heading. */
  readonly title: string;
  /** What was measured, a line each. */
  readonly facts: readonly string[];
  /** A file's text; undefined when the file is gone. */
  readonly readSource: (path: string) => string | undefined;
}

const STYLE = `
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse } td, th { padding: .1em .8em; text-align: right } td:first-child { text-align: left }
meter { width: 8em } pre { font-size: 12px; overflow-x: auto } pre span { display: block; padding-left: .5em }
.hit { background: #dff5df } .miss { background: #fbdcdc } .count { color: #777 } summary { cursor: pointer; padding: .2em 0 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } .hit { background: #1d3a1d } .miss { background: #4a1f1f } .count { color: #999 } a { color: #8af }
}`;

/** One page with everything in it: the table, and each file's source with what ran. */
export function coveragePage(coverage: Coverage, { title, facts, readSource }: PageOptions): string {
  const files = fileShares(coverage);
  const details = files.map((share) => {
    const file = coverage.get(share.name);
    return file === undefined ? "" : fileSection(share, file, readSource(share.name));
  });
  return [
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escape(title)}</title><style>${STYLE}</style>`,
    `<h1>${escape(title)}</h1>`,
    ...facts.map((fact) => `<p>${escape(fact)}</p>`),
    "<h2>Folders</h2>",
    table(folderShares(files), (name) => escape(name)),
    "<h2>Files</h2>",
    table(files, (name) => `<a href="#${escape(name)}">${escape(name)}</a>`),
    "<h2>Sources</h2>",
    ...details,
    "</html>\n",
  ].join("\n");
}

function table(shares: readonly Share[], nameCell: (name: string) => string): string {
  const rows = shares.map((share) => {
    const { name, lines, reached } = share;
    const meter = `<meter value="${reached}" max="${Math.max(lines, 1)}"></meter>`;
    return `<tr><td>${nameCell(name)}<td>${reached}<td>${lines}<td>${percent(share)}<td>${meter}`;
  });
  return ["<table><tr><th><th>reached<th>lines<th><th>", ...rows, "</table>"].join("\n");
}

function fileSection(share: Share, file: FileCoverage, source: string | undefined): string {
  const head = `<details id="${escape(share.name)}"><summary>${escape(share.name)}: ${percent(share)}</summary>`;
  const functions = table(functionShares(file), (name) => escape(name));
  const text = source === undefined ? "<p>The source is not there any more.</p>" : sourceText(source, file);
  return [head, functions, text, "</details>"].join("\n");
}

function sourceText(source: string, { lines }: FileCoverage): string {
  const width = String(Math.max(0, ...lines.values())).length;
  const rows = source.split("\n").map((text, index) => {
    const count = lines.get(index + 1);
    const kind = count === undefined ? "" : count > 0 ? ' class="hit"' : ' class="miss"';
    const shown = count === undefined ? "" : String(count);
    const gutter = `${String(index + 1).padStart(5)} ${shown.padStart(width)} `;
    return `<span${kind}><span class="count" style="display:inline">${gutter}</span>${escape(text)}</span>`;
  });
  // Each line is a block of its own, so a line break between them would show as an empty line.
  return `<pre>${rows.join("")}</pre>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
