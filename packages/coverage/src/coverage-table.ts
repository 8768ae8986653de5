import type { Coverage, FileCoverage } from "./file-coverage";

/** How many lines of something ran. */
export interface Share {
  /** What it is a share of: a file, a folder or a function. */
  readonly name: string;
  /** Lines with code. */
  readonly lines: number;
  /** How many of them ran. */
  readonly reached: number;
}

/** How much of each file ran, sorted by path. */
export function fileShares(coverage: Coverage): Share[] {
  const rows = [...coverage].map(([path, { lines }]) => shareOf(path, lines.values()));
  return rows.sort((a, b) => a.name.localeCompare(b.name, "en"));
}

/** Sums over the files of each folder, without its subfolders. */
export function folderShares(files: readonly Share[]): Share[] {
  const sums = new Map<string, Share>();
  for (const { name, lines, reached } of files) {
    const slash = name.lastIndexOf("/");
    const folder = slash < 0 ? "." : name.slice(0, slash);
    const sum = sums.get(folder) ?? { name: folder, lines: 0, reached: 0 };
    sums.set(folder, { name: folder, lines: sum.lines + lines, reached: sum.reached + reached });
  }
  return [...sums.values()];
}

/** The files, then their folders. */
export function treeShares(coverage: Coverage): Share[] {
  const files = fileShares(coverage);
  return [...files, ...folderShares(files).map((sum) => ({ ...sum, name: `${sum.name}/` }))];
}

/** By function, in the file's order. A function's lines are those from its first to its last. */
export function functionShares({ lines, functions }: FileCoverage): Share[] {
  const inOrder = [...functions].sort(([, a], [, b]) => a.line - b.line);
  return inOrder.map(([name, { line: first, lastLine: last }]) => {
    const own = [...lines].filter(([line]) => line >= first && line <= last);
    return shareOf(
      name,
      own.map(([, count]) => count),
    );
  });
}

/** `52.8 %`; a dash where there are no lines. */
export function percent({ lines, reached }: Pick<Share, "lines" | "reached">): string {
  return lines === 0 ? "–" : `${((reached / lines) * 100).toFixed(1)} %`;
}

/** What one kind of run reached of the same files or functions. */
export interface ShareColumn {
  /** The kind of run, as the table's heading. */
  readonly title: string;
  /** A share for each file or function. */
  readonly shares: readonly Share[];
}

/** Columns for a terminal, with the numbers to the right. Several columns of shares have the same rows. */
export function shareTable(...columns: readonly ShareColumn[]): string {
  const rows = (columns[0]?.shares ?? []).map(({ name, lines }, row) => {
    const cells = columns.flatMap(({ shares }) => {
      const share = shares[row] ?? { lines, reached: 0 };
      return [String(share.reached), percent(share)];
    });
    return [name, String(lines), ...cells];
  });
  const all = [["", "lines", ...columns.flatMap(({ title }) => [title, ""])], ...rows];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return all.map((row) => `${row.map(cell).join("  ").trimEnd()}\n`).join("");
}

function shareOf(name: string, counts: Iterable<number>): Share {
  const all = [...counts];
  return { name, lines: all.length, reached: all.filter((count) => count > 0).length };
}
