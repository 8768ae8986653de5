import { accessSync, constants, lstatSync, readlinkSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Errno, errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";

/**
 * Checks before the first test that the report can be written: after the last test it would be lost. The check writes
 * nothing, because a run that ends without a report must leave no empty one. Returns the folder in which the file lies.
 */
export function requireWritable(output: string, operation: string): string {
  const result = writableFolder(output);
  if (typeof result === "string") return result;
  throw systemError(result, operation, {
    message: `cannot write the report to ${output}: ${errnoName(-result)}`,
    subject: output,
    remedy: "give --output a file in a folder that exists and that you may write to",
  });
}

/** Links in a chain of symbolic links. The kernel follows 40 and takes a longer chain for a circle (MAXSYMLINKS). */
const MOST_LINKS = 40;

/** The file that a path stands for. Its last part may be a symbolic link, even to a file that does not exist yet. */
function linkedFile(path: string, links = 0): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (!isLink || links === MOST_LINKS) return path;
  return linkedFile(resolve(dirname(path), readlinkSync(path)), links + 1);
}

/** The folder in which the file lies, or `-errno` of what keeps the report from being written. */
function writableFolder(output: string): string | number {
  try {
    const path = linkedFile(resolve(output));
    const folder = dirname(path);
    const file = statSync(path, { throwIfNoEntry: false });
    if (file?.isDirectory() === true) return -Errno.EISDIR;
    accessSync(file === undefined ? folder : path, constants.W_OK);
    return folder;
  } catch (error) {
    return systemResult(error);
  }
}
