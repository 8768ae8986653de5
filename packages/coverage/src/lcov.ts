import type { Coverage } from "./file-coverage";

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
