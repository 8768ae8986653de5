import type { Coverage, FileCoverage } from "./file-coverage";

/** How many lines of something ran. */
export interface Share {
  readonly name: string;
  readonly lines: number;
  readonly reached: number;
}

export function fileShares(coverage: Coverage): Share[] {
  const rows = [...coverage].map(([path, { lines }]) => shareOf(path, lines.values()));
  return rows.sort((a, b) => a.name.localeCompare(b.name, "en"));
}

/** Sums over the files of each folder, without its subfolders. */
export function folderShares(files: readonly Share[]): Share[] {
  const sums = new Map<string, Share>();
  for (const { name, lines, reached } of files) {
    const folder = name.slice(0, name.lastIndexOf("/"));
    const sum = sums.get(folder) ?? { name: folder, lines: 0, reached: 0 };
    sums.set(folder, { name: folder, lines: sum.lines + lines, reached: sum.reached + reached });
  }
  return [...sums.values()];
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

export function percent({ lines, reached }: Pick<Share, "lines" | "reached">): string {
  return lines === 0 ? "–" : `${((reached / lines) * 100).toFixed(1)} %`;
}

/** Columns for a terminal, with the numbers to the right. */
export function shareTable(shares: readonly Share[]): string {
  const rows = shares.map((share) => [share.name, String(share.reached), String(share.lines), percent(share)]);
  const all = [["", "reached", "lines", ""], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return all.map((row) => `${row.map(cell).join("  ").trimEnd()}\n`).join("");
}

function shareOf(name: string, counts: Iterable<number>): Share {
  const all = [...counts];
  return { name, lines: all.length, reached: all.filter((count) => count > 0).length };
}
