import { amount, type Check, flag, listOf, Mismatch, objectOf, oneOf, text, time, whole } from "../json-report/fields";
import { parseFile } from "../json-report/parse-file";
import { BENCH_VERSION, type BenchReport, type Bucket } from "./bench-report";

const MEASUREMENT = { where: oneOf("host", "lab"), name: text, variant: text, unit: text } as const;
const spread = objectOf({ min: amount, median: amount, max: amount, runs: whole(1) });

const checkBuckets: Check = (value, place) => {
  listOf(objectOf({ from: amount, to: amount, count: whole(0) }))(value, place);
  const buckets = value as readonly Bucket[];
  const wrong = buckets.findIndex(
    ({ from, to }, index) => !(from > 0 && from < to && from >= (buckets[index - 1]?.to ?? 0)),
  );
  if (buckets.length === 0) throw new Mismatch(`${place} is empty`);
  if (wrong >= 0) throw new Mismatch(`${place}[${wrong}] is not above 0, empty, or not above the one before it`);
};

const check = objectOf({
  version: whole(1),
  date: time,
  node: text,
  cpu: text,
  rounds: whole(1),
  results: listOf(
    objectOf({
      ...MEASUREMENT,
      typescript: spread,
      "c?": spread,
      "goal?": objectOf({ kind: oneOf("ratio", "difference", "value"), limit: amount, "atLeast?": flag }),
    }),
  ),
  distributions: listOf(
    objectOf({
      ...MEASUREMENT,
      count: whole(1),
      percentiles: objectOf({ p50: amount, p90: amount, p99: amount, max: amount }),
      buckets: checkBuckets,
    }),
  ),
});

/** Reads the text of a benchmark's file. `name` is for the errors: ERR_INVALID_REPORT for what this version cannot read whole. */
export function parseBenchReport(content: string, name: string): BenchReport {
  return parseFile(content, name, { version: BENCH_VERSION, writer: "`pnpm bench --json FILE`", check }) as BenchReport;
}
