import { readReport, reportPage } from "@vfio-selftests/harness/reports";
import { ExitCode } from "../exit-codes";
import { requireWritable } from "../run/report-file";
import type { ReportOptions } from "./options";
import { shortNames } from "./short-names";
import { writeFile } from "./write-file";

/** `report`: one page of all the files. */
export function writePage(files: readonly string[], { output }: ReportOptions): number {
  requireWritable(output, "report");
  const names = shortNames(files);
  // All are read before anything is written, so that a bad one leaves an older page as it is.
  const runs = files.map((file, index) => ({ name: names[index] ?? file, report: readReport(file) }));
  writeFile(output, reportPage(runs));
  return ExitCode.ok;
}
