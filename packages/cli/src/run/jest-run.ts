import { accessSync, constants } from "node:fs";
import { tmpdir } from "node:os";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import { Supervisor } from "./supervisor";
import type { JestOutcome, JestRun } from "./test-run";

/**
 * Runs the tests in a process of their own, which this one watches. A test that ends its process or hangs fails, and
 * the run goes on with the next test in a new process.
 */
export async function runJest(run: JestRun): Promise<JestOutcome> {
  requireTemporaryFolder();
  using supervisor = new Supervisor(run);
  return await supervisor.run();
}

/** jest keeps files there, and ends with a stack trace where it cannot. */
export function requireTemporaryFolder(folder = tmpdir()): void {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "run", {
      message: `cannot write to the folder for temporary files, ${folder}: ${errnoName(-result)}`,
      subject: folder,
      remedy: "name a folder that exists and that you may write to: TMPDIR=FOLDER",
    });
  }
}
