import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { listDirectory, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { JOURNALS } from "./machine-changes";
import { processIdentity } from "./process-identity";
import { applyUndo, parseUndoLine } from "./undo-write";

/** A step that was taken late, because the process that made the change died, and its guardian, too. */
export interface RestoredValue {
  /** The file that was written. */
  readonly path: string;
  /** The value that was put back. */
  readonly value: string;
  /** Why the value could not be put back. The journal then stays. */
  readonly error?: string;
}

/** Puts back what ended processes have left changed. It does not touch the changes of living processes. */
export function restoreLeftovers(paths: SystemPaths = systemPaths): RestoredValue[] {
  const directory = paths.runtime(JOURNALS);
  return listDirectory(directory)
    .filter((name) => /^\d+-\d*-[0-9a-f]+$/.test(name) && !isAlive(name))
    .flatMap((name) => restore(join(directory, name)));
}

function isAlive(journal: string): boolean {
  const identity = processIdentity(Number.parseInt(journal, 10));
  return identity !== undefined && journal.startsWith(`${identity}-`);
}

function restore(journal: string): RestoredValue[] {
  const restored = readJournal(journal)
    .split("\n")
    .filter((line) => line !== "")
    .map(takeStep);
  if (restored.every(({ error }) => error === undefined)) rmSync(journal, { force: true });
  return restored;
}

/** Reads a journal; empty when the guardian has just done its work. */
function readJournal(journal: string): string {
  try {
    return readFileSync(journal, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

function takeStep(line: string): RestoredValue {
  const step = parseUndoLine(line);
  if (step === undefined) return { path: line, value: "", error: "the journal's line is damaged" };
  const { path, value } = step;
  try {
    applyUndo(step);
    return { path, value };
  } catch (error) {
    return { path, value, error: (error as Error).message };
  }
}
