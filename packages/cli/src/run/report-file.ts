import { closeSync, openSync } from "node:fs";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";

/** Checks before the first test that the report can be written: after the last test it would be lost. */
export function requireWritable(path: string, operation: string): void {
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, operation, {
      message: `cannot write the report to ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give --output a file in a folder that exists and that you may write to",
    });
  }
}
