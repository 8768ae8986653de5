import { type JsonReport, mergeReports, readReport, totalsLine } from "@vfio-selftests/harness/reports";
import { requireWritable } from "../run/report-file";
import type { ReportOptions } from "./options";
import { writeFile } from "./write-file";

/** `report merge`: one report of all the files. Resolves to the exit code of the whole run. */
export function mergeFiles(files: readonly string[], { output }: ReportOptions): number {
  requireWritable(output, "report merge");
  const merged = mergeReports(files.map((name) => ({ name, report: readReport(name) })));
  for (const line of [...merged.errors, ...(merged.notes ?? []), ...missing(merged)]) console.log(line);
  writeFile(output, `${JSON.stringify(merged, undefined, 2)}\n`);
  console.log(totalsLine(merged.totals));
  return merged.exitCode;
}

function missing({ tests }: JsonReport): readonly string[] {
  return tests.flatMap(({ id, device, failures, run }) =>
    run === undefined ? `FAIL ${device === undefined ? "" : `${device} `}${id}: ${failures?.[0] ?? ""}` : [],
  );
}
