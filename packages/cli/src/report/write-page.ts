import { reportPage } from "@vfio-selftests/harness/reports";
import { ExitCode } from "../exit-codes";
import { requireWritable } from "../run/report-file";
import type { ReportOptions } from "./options";
import { readPageFiles } from "./page-files";
import { writeFile } from "./write-file";

/** `report`: one page of all the files. */
export function writePage(files: readonly string[], { output }: ReportOptions): number {
  requireWritable(output, "report");
  // All are read before anything is written, so that a bad one leaves an older page as it is.
  const content = readPageFiles(files);
  writeFile(output, reportPage(content));
  return ExitCode.ok;
}
