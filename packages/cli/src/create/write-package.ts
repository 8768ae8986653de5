import { closeSync, mkdirSync, openSync, readdirSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import type { NewFile } from "./driver-template";

/** What an empty folder may hold all the same: a repository without a file. */
const ALLOWED: readonly string[] = [".git"];

/**
 * Writes the files into `folder`, which it makes where it is missing. It overwrites nothing, and when a write fails it takes
 * back what it has made.
 */
export function writePackage(folder: string, files: readonly NewFile[]): void {
  const undo: (() => void)[] = [];
  try {
    makeFolder(folder, undo);
    requireEmpty(folder);
    for (const { path, text } of files) {
      const file = join(folder, path);
      makeFolder(dirname(file), undo);
      const fd = openSync(file, "wx");
      undo.push(() => unlinkSync(file));
      try {
        writeFileSync(fd, text);
      } finally {
        closeSync(fd);
      }
    }
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error instanceof VfioError ? error : writeError(folder, error);
  }
}

/** Not mkdir's own `recursive`, with which Node never returns from a folder in which nothing can be made (/proc). */
function makeFolder(folder: string, undo: (() => void)[]): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder), undo);
  mkdirSync(folder);
  undo.push(() => rmdirSync(folder));
}

function requireEmpty(folder: string): void {
  const [entry] = readdirSync(folder).filter((name) => !ALLOWED.includes(name));
  if (entry === undefined) return;
  throw new VfioError(`${folder} is not empty: it has ${entry}`, {
    code: "ENOTEMPTY",
    operation: "create",
    subject: folder,
    remedy: "name a folder that is not there yet, or is empty",
  });
}

function writeError(folder: string, error: unknown): VfioError {
  const result = systemResult(error);
  const { path = folder } = error as NodeJS.ErrnoException;
  return systemError(result, "create", {
    message: `cannot make ${path}: ${errnoName(-result)}`,
    subject: path,
    remedy: "name a folder in which you may write, on a disk with space",
    cause: error,
  });
}
