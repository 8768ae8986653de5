import { comparisonLines, readReport } from "@vfio-selftests/harness/reports";
import { ExitCode } from "../exit-codes";
import { shortNames } from "./short-names";

/** `report compare` */
export function compareFiles(files: readonly string[]): number {
  const names = shortNames(files);
  const runs = files.map((file, index) => ({ name: names[index] ?? file, report: readReport(file) }));
  for (const line of comparisonLines(runs)) console.log(line);
  return ExitCode.ok;
}
