// Draws the last lines of a terminal as SVG: text in the colours that the SGR codes name.
"use strict";

/** Pixels. A glyph of the font is 0.6 em wide, and `textLength` sets each line to its columns, whatever font the viewer has. */
const FONT = 14;
const COLUMN = 8.4;
const ROW = 19;
const MARGIN = 16;

/** What each SGR code that a report has turns on or off. */
const CODES = {
  0: { fill: undefined, bold: false },
  1: { bold: true },
  22: { bold: false },
  31: { fill: "#ff7b72" },
  32: { fill: "#7ee787" },
  33: { fill: "#e3b341" },
  39: { fill: undefined },
};

const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escaped = (text) => text.replace(/[&<>]/g, (character) => ESCAPED[character]);

/** What stays of a line after all that was drawn over it. */
const settled = (line) => line.split("\r\u001b[K").at(-1);

/** `[{ text, fill, bold }]`. */
function spansOf(line) {
  let style = {};
  const spans = [];
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    const code = /^\u001b\[(\d+)m$/.exec(part)?.[1];
    if (code === undefined) {
      if (part !== "") spans.push({ text: part, ...style });
    } else {
      if (!(code in CODES)) throw new Error(`no style for SGR code ${code}: add it to CODES`);
      style = { ...style, ...CODES[code] };
    }
  }
  return spans;
}

/** Browsers fold spaces in SVG text, whatever xml:space and the style of what is around it say. They do not fold no-break spaces. */
const columnsOf = (text) => escaped(text).replaceAll(" ", "\u00a0");

function lineSvg(line, row) {
  const spans = spansOf(line);
  const columns = spans.reduce((sum, { text }) => sum + text.length, 0);
  if (columns === 0) return "";
  const parts = spans.map(({ text, fill, bold }) => {
    const attributes = [fill && ` fill="${fill}"`, bold && ` font-weight="bold"`].filter(Boolean).join("");
    return attributes === "" ? columnsOf(text) : `<tspan${attributes}>${columnsOf(text)}</tspan>`;
  });
  const y = MARGIN + FONT + row * ROW;
  return `<text x="${MARGIN}" y="${y}" textLength="${round(columns * COLUMN)}">${parts.join("")}</text>\n`;
}

const round = (value) => Math.round(value * 10) / 10;

/** `written`: all that a program wrote to the terminal. */
function terminalSvg(written, { columns, rows, title }) {
  const lines = written.replaceAll("\r\n", "\n").trimEnd().split("\n").map(settled).slice(-rows);
  const width = round(columns * COLUMN + 2 * MARGIN);
  const height = lines.length * ROW + 2 * MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g fill="#e6edf3" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}">
${lines.map(lineSvg).join("")}</g>
</svg>
`;
}

module.exports = { terminalSvg };
