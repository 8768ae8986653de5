import { type CoverageDatabase, isTest, testsByLine } from "./coverage-database";
import { type FilePatch, formerLines, type Hunk, touchedLines } from "./patch";

/** A line of a patch, and who reaches it. */
export interface PatchLine {
  /** The file's path in the kernel tree. */
  readonly path: string;
  /** The line's number after the patch, from 1. */
  readonly line: number;
  /**
   * `reached` or `missed` for a line that the measured kernel had. `new` for one that it did not have: `tests` are then
   * those that reach the lines in its place.
   */
  readonly state: "reached" | "missed" | "new";
  /** Ids of the tests that reach it. */
  readonly tests: readonly string[];
}

/** How the measured file became the present one; empty where it has not changed since. */
export type ChangesSince = (path: string) => readonly Hunk[];

/** The lines of a patch that have code, in the measured files. */
export function patchCoverage(
  patches: readonly FilePatch[],
  database: CoverageDatabase,
  changesSince: ChangesSince,
): PatchLine[] {
  return patches.flatMap((patch) => {
    const { path } = patch;
    if (path === undefined || database.lines[path] === undefined) return [];
    const tests = testsByLine(database, path);
    const hunks = changesSince(path);
    return touchedLines(patch).flatMap((line): PatchLine[] => {
      const former = formerLines(hunks, line);
      const reaching = former.lines.flatMap((old) => tests.get(old) ?? []);
      if (!former.exact) return [{ path, line, state: "new", tests: [...new Set(reaching)] }];
      // A line without code: a declaration, a comment.
      if (former.lines.every((old) => !tests.has(old))) return [];
      return [{ path, line, state: reaching.length > 0 ? "reached" : "missed", tests: reaching }];
    });
  });
}

/** The tests worth running for a patch: those that reach it. */
export function reachingTests(lines: readonly PatchLine[]): string[] {
  const ids = new Set(lines.flatMap(({ tests }) => tests));
  return [...ids].filter(isTest).sort();
}
