import { accessSync, constants, lstatSync, readlinkSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Errno, errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";

/**
 * Before the first test: a report that cannot be written after the last one would be lost. It writes nothing, because a run
 * that ends before it has a report must leave no empty one. Returns the folder in which the file lies.
 */
export function requireWritable(output: string, operation: string): string {
  const path = linkedFile(resolve(output));
  const folder = dirname(path);
  const result = obstacleTo(path, folder);
  if (result === 0) return folder;
  throw systemError(result, operation, {
    message: `cannot write the report to ${output}: ${errnoName(-result)}`,
    subject: output,
    remedy: "give --output a file in a folder that exists and that you may write to",
  });
}

/** Symbolic links that one follows another: more than the kernel follows is a circle. */
const MOST_LINKS = 40;

/** What a path means whose last part may be a symbolic link, also to a file that is not there yet. */
function linkedFile(path: string, links = 0): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (!isLink || links === MOST_LINKS) return path;
  return linkedFile(resolve(dirname(path), readlinkSync(path)), links + 1);
}

/** `-errno`, or 0. */
function obstacleTo(path: string, folder: string): number {
  try {
    const file = statSync(path, { throwIfNoEntry: false });
    if (file?.isDirectory() === true) return -Errno.EISDIR;
    accessSync(file === undefined ? folder : path, constants.W_OK);
    return 0;
  } catch (error) {
    return systemResult(error);
  }
}
