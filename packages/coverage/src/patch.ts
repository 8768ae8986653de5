/** One place where two versions of a file differ. Line numbers begin at 1; a side without lines has `count` 0. */
export interface Hunk {
  /** The lines that the hunk replaces. */
  readonly before: LineSpan;
  /** The lines that it puts in their place. */
  readonly after: LineSpan;
}

export interface LineSpan {
  /** With `count` 0: the line after which the other side has its own (0 for the file's begin). */
  readonly first: number;
  readonly count: number;
}

/** What a patch does to one file. */
export interface FilePatch {
  /** The path after the patch; undefined for a file that it removes. */
  readonly path: string | undefined;
  /** In the order of the file. */
  readonly hunks: readonly Hunk[];
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** Reads a unified diff as git writes it with `-U0`: without context, each hunk is what has changed. */
export function parsePatch(text: string): FilePatch[] {
  const patches: { path: string | undefined; hunks: Hunk[] }[] = [];
  // The lines of a hunk that are still to come. One that looks like a header may be the file's own text.
  let toSkip = 0;
  for (const line of text.split("\n")) {
    if (toSkip > 0 && /^[-+]/.test(line)) {
      toSkip -= 1;
      continue;
    }
    const name = /^\+\+\+ (.*?)\t?$/.exec(line)?.[1];
    if (name !== undefined) {
      patches.push({ path: name === "/dev/null" ? undefined : unquote(name).replace(/^b\//, ""), hunks: [] });
      continue;
    }
    const [, beforeFirst, beforeCount = "1", afterFirst, afterCount = "1"] = HUNK.exec(line) ?? [];
    if (beforeFirst === undefined || afterFirst === undefined) continue;
    const hunk = {
      before: { first: Number(beforeFirst), count: Number(beforeCount) },
      after: { first: Number(afterFirst), count: Number(afterCount) },
    };
    toSkip = hunk.before.count + hunk.after.count;
    patches.at(-1)?.hunks.push(hunk);
  }
  return patches;
}

/** git quotes a name with unusual characters as C does. */
function unquote(name: string): string {
  if (!name.startsWith('"')) return name;
  return name.slice(1, -1).replace(/\\(["\\])/g, "$1");
}

export function linesOf({ first, count }: LineSpan): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** The lines of the new file that a patch writes. For a removal, the two lines that now lie side by side. */
export function touchedLines({ hunks }: FilePatch): number[] {
  return hunks.flatMap(({ after }) => (after.count > 0 ? linesOf(after) : [after.first, after.first + 1]));
}

/**
 * Where a line was before the changes. `exact`: the line itself. Else the lines that it replaced, or stands between.
 */
export interface FormerLines {
  readonly exact: boolean;
  readonly lines: readonly number[];
}

/** Follows a line of the new file back to the old one. */
export function formerLines(hunks: readonly Hunk[], line: number): FormerLines {
  let shift = 0;
  for (const { before, after } of hunks) {
    const [begin, end] = [after.count > 0 ? after.first : after.first + 1, after.first + after.count];
    if (line < begin) break;
    if (after.count > 0 && line < end) {
      return { exact: false, lines: before.count > 0 ? linesOf(before) : [before.first, before.first + 1] };
    }
    shift += before.count - after.count;
  }
  return { exact: true, lines: [line + shift] };
}
