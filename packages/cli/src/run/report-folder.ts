import { mkdirSync } from "node:fs";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";

/** Makes the folder of `--output` where it is missing. Throws a VfioError with the errno. */
export function makeReportFolder(path: string, operation: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, operation, {
      message: `cannot make the folder ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give --output a folder that you may write to",
    });
  }
}
