import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";

/** Makes the folder of `--output` where it is missing. Throws a VfioError with the errno. */
export function makeReportFolder(path: string, operation: string): void {
  try {
    makeFolders(resolve(path));
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, operation, {
      message: `cannot make the folder ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give --output a folder that you may write to",
    });
  }
}

/** Node's own `recursive` never returns where a file system refuses with ENOENT in a folder that is there, as /proc does. */
function makeFolders(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(path) !== path) makeFolders(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
