import { readFileSync } from "node:fs";
import { errnoName, systemError, systemResult, VfioError } from "@vfio-selftests/core/errors";
import { amount, listOf, Mismatch, objectOf, oneOf, text, time, whole } from "./fields";
import { type JsonReport, REPORT_VERSION } from "./json-report";

const RUN_FACTS = {
  target: listOf(text),
  "kernel?": text,
  "device?": text,
  "command?": listOf(text),
  "started?": time,
  "shard?": objectOf({ index: whole(1), count: whole(1) }),
  durationMs: amount,
  errors: listOf(text),
  "notes?": listOf(text),
} as const;

const TEST = {
  id: text,
  "device?": text,
  mode: text,
  status: oneOf("passed", "failed", "skipped"),
  "repetition?": whole(1),
  durationMs: amount,
  "skip?": objectOf({ reason: text, remedy: text }),
  "failures?": listOf(text),
  "notes?": listOf(text),
  "run?": whole(0),
} as const;

const checkReport = objectOf({
  "version?": whole(1),
  ...RUN_FACTS,
  "runs?": listOf(objectOf(RUN_FACTS)),
  totals: objectOf({ passed: whole(0), failed: whole(0), skipped: whole(0) }),
  exitCode: whole(0),
  "planned?": listOf(objectOf({ id: text, "device?": text, mode: text })),
  tests: listOf(objectOf(TEST)),
});

/** Reads a report of `--reporter json`. Throws ERR_INVALID_REPORT for what this version cannot read whole. */
export function readReport(path: string): JsonReport {
  return parseReport(readText(path), path);
}

/** Reads a report's text. `name` is for the errors, which are those of {@link readReport}. */
export function parseReport(content: string, name: string): JsonReport {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    const why = content.trim() === "" ? "it is empty" : (error as Error).message;
    throw invalidReport(name, why, "give it whole, as `--reporter json --output FILE` wrote it, or leave it out");
  }
  // First, because another version's fields would only look wrong.
  const { version } = (value ?? {}) as { readonly version?: unknown };
  if (version !== undefined && version !== REPORT_VERSION) {
    const why = `its version is ${JSON.stringify(version)}, and this program reads version ${REPORT_VERSION}`;
    throw invalidReport(name, why, "read it with the version of vfio-selftests that wrote it");
  }
  try {
    checkReport(value, "");
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    throw invalidReport(name, error.message, "give a file that `--reporter json` of this version wrote");
  }
  const report = value as JsonReport;
  const { runs = [], tests } = report;
  const stray = tests.find(({ run }) => run !== undefined && run >= runs.length);
  if (stray === undefined) return report;
  throw invalidReport(name, `the run of ${stray.id} is not among its runs`, "merge the shards' reports again");
}

function invalidReport(subject: string, why: string, remedy: string): VfioError {
  const message = `cannot read the report ${subject}: ${why}`;
  return new VfioError(message, { code: "ERR_INVALID_REPORT", operation: "report", subject, remedy });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "report", {
      message: `cannot read the report ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give a file that `--reporter json --output FILE` wrote and that you may read",
    });
  }
}
