import { readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import type { RunOutcome } from "@vfio-selftests/harness";
import { stateFile } from "../state-file";

/** What a run keeps for `--last-failed`. */
interface LastRun {
  /** Ids of tests, without the devices. */
  readonly failed: readonly string[];
}

const FILE = "last-run.json";

export function saveLastRun({ tests }: Pick<RunOutcome, "tests">): string | undefined {
  return saveFailed(tests.filter(({ status }) => status === "failed").map(({ id }) => id));
}

/** Keeps the ids of the failed tests. Returns a sentence that says why it could not. */
export function saveFailed(ids: readonly string[]): string | undefined {
  const failed = [...new Set(ids)];
  const path = stateFile(FILE);
  try {
    makeFolder(dirname(path));
    writeFileSync(path, `${JSON.stringify({ failed } satisfies LastRun, undefined, 2)}\n`);
    return undefined;
  } catch (error) {
    return `what failed is not kept for --last-failed: ${(error as Error).message}`;
  }
}

/** The ids that failed in the last run. Throws when there was no run, or no test failed in it. */
export function lastFailed(): readonly string[] {
  const path = stateFile(FILE);
  const failed = readFailed(path);
  if (failed === undefined || failed.length === 0) {
    throw new VfioError(failed === undefined ? "no run is remembered" : "no test failed in the last run", {
      code: "ERR_NOTHING_TO_RUN",
      operation: "run --last-failed",
      subject: path,
      remedy: "run without --last-failed",
    });
  }
  return failed;
}

function readFailed(path: string): readonly string[] | undefined {
  try {
    const { failed } = JSON.parse(readFileSync(path, "utf8")) as Partial<LastRun>;
    return Array.isArray(failed) ? failed : undefined;
  } catch {
    return undefined;
  }
}
