import { basename } from "node:path";
import { readReport, reportPage } from "@vfio-selftests/harness/reports";
import { ExitCode } from "../exit-codes";
import { requireWritable } from "../run/report-file";
import type { ReportOptions } from "./options";
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

/** The files' names without folder and ending, or the whole paths where those are not different. */
function shortNames(files: readonly string[]): readonly string[] {
  const names = files.map((file) => basename(file, ".json"));
  return new Set(names).size === names.length ? names : files;
}
