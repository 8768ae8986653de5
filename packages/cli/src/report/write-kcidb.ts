import { kcidbReport, readReport } from "@vfio-selftests/harness/reports";
import { ExitCode } from "../exit-codes";
import { requireWritable } from "../run/report-file";
import type { KcidbOptions } from "./options";
import { writeFile } from "./write-file";

/** `report kcidb`: one submission of all the files' results. */
export function writeKcidb(files: readonly string[], { output, origin, build }: KcidbOptions): number {
  requireWritable(output, "report kcidb");
  const report = kcidbReport(files.map(readReport), { origin, build });
  writeFile(output, `${JSON.stringify(report, undefined, 2)}\n`);
  return ExitCode.ok;
}
