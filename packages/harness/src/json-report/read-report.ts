import { amount, listOf, objectOf, oneOf, text, time, whole } from "./fields";
import { type JsonReport, REPORT_VERSION } from "./json-report";
import { invalidReport, parseFile, readReportText } from "./parse-file";

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
  return parseReport(readReportText(path), path);
}

/** Reads a report's text. `name` is for the errors, which are those of {@link readReport}. */
export function parseReport(content: string, name: string): JsonReport {
  const kind = { version: REPORT_VERSION, writer: "`--reporter json --output FILE`", check: checkReport };
  const report = parseFile(content, name, kind) as JsonReport;
  const { runs = [], tests } = report;
  const stray = tests.find(({ run }) => run !== undefined && run >= runs.length);
  if (stray === undefined) return report;
  throw invalidReport(name, `the run of ${stray.id} is not among its runs`, "merge the shards' reports again");
}
