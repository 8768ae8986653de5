import { type Coverage, type FileCoverage, mergeCoverage } from "./file-coverage";

/** A tracefile of lcov (`man geninfo`, "FILES"), which genhtml, editors and CI services read. Paths are below `tree`. */
export function lcovTrace(coverage: Coverage, tree: string): string {
  return [...coverage]
    .sort(([a], [b]) => a.localeCompare(b, "en"))
    .flatMap(([path, file]) => {
      const functions = [...file.functions].sort(([, a], [, b]) => a.line - b.line);
      const lines = [...file.lines].sort(([a], [b]) => a - b);
      return [
        "TN:",
        `SF:${tree}/${path}`,
        ...functions.map(([name, { line, lastLine }]) => `FN:${line},${lastLine},${name}`),
        ...functions.map(([name, { count }]) => `FNDA:${count},${name}`),
        `FNF:${functions.length}`,
        `FNH:${functions.filter(([, { count }]) => count > 0).length}`,
        ...lines.map(([line, count]) => `DA:${line},${count}`),
        `LF:${lines.length}`,
        `LH:${lines.filter(([, count]) => count > 0).length}`,
        "end_of_record",
      ];
    })
    .map((line) => `${line}\n`)
    .join("");
}

/** The kinds of lines that lcov writes and that say nothing about a line of code. */
const OTHER_LINES = /^(?:TN|VER|FN|FNDA|FNF|FNH|FNL|FNA|BRDA|BRF|BRH|MCDC|MCF|MCH|LF|LH):|^#|^\s*$/;

/**
 * What a tracefile tells of lines, by the paths that it names. Files that several records name are added up. Functions and
 * branches are left out. Throws a SyntaxError that names the line for what is no tracefile, or one that was cut off.
 */
export function parseLcov(text: string): Coverage {
  const records: Coverage[] = [];
  let open: { readonly path: string; readonly lines: Map<number, number> } | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const wrong = (): SyntaxError =>
      new SyntaxError(`line ${index + 1} is no line of an lcov tracefile here: ${line.slice(0, 60)}`);
    const [, path] = /^SF:(.+)$/.exec(line) ?? [];
    const [, number, count] = /^DA:(\d+),(-?\d+)(?:,.*)?$/.exec(line) ?? [];
    if (path !== undefined && open === undefined) open = { path, lines: new Map() };
    // gcov may count below 0 where threads race. Such a line ran.
    else if (number !== undefined && open !== undefined) addTo(open.lines, Number(number), Math.abs(Number(count)));
    else if (line === "end_of_record" && open !== undefined) {
      records.push(new Map<string, FileCoverage>([[open.path, { lines: open.lines, functions: new Map() }]]));
      open = undefined;
    } else if (!OTHER_LINES.test(line)) throw wrong();
  }
  if (open !== undefined) throw new SyntaxError(`it ends within the record of ${open.path}`);
  if (records.length === 0) throw new SyntaxError("it has no record of a file");
  return mergeCoverage(records);
}

function addTo(lines: Map<number, number>, line: number, count: number): void {
  lines.set(line, (lines.get(line) ?? 0) + count);
}
