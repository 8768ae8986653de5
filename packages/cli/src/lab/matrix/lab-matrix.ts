import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import { type ComparedRun, comparisonLines, readReport, reportPage } from "@vfio-selftests/harness/reports";
import { ExitCode } from "../../exit-codes";
import { asArguments, optionsOf } from "../../options/option";
import { writeFile } from "../../report/write-file";
import { tellError } from "../../report-error";
import { requireWritable } from "../../run/report-file";
import { makeReportFolder } from "../../run/report-folder";
import { labRun } from "../lab-commands";
import { LAB_RUN_OPTIONS, type LabRunOptions } from "../options";
import { type MatrixMachine, matrixMachines } from "./matrix-machines";
import type { MatrixOptions } from "./options";

/** Exit statuses from here on are those of signals: 128 and the signal's number. */
const INTERRUPTED = 128;

/** `lab matrix`: runs the same tests on one machine after the other, then shows in what they differ. */
export async function labMatrix(options: MatrixOptions): Promise<number> {
  const machines = matrixMachines(options);
  const { output, devices: _devices, iommus: _iommus, kernels: _kernels, ...common } = options;
  makeReportFolder(output, "lab matrix");
  const page = join(output, "report.html");
  requireWritable(page, "lab matrix");
  const runs: ComparedRun[] = [];
  const codes: number[] = [];
  for (const [index, machine] of machines.entries()) {
    console.log(`\n=== ${index + 1} of ${machines.length}: ${machine.name}`);
    const { code, run } = await runOn(machine, common, output);
    runs.push(run);
    codes.push(code);
    if (code > INTERRUPTED) break;
  }
  console.log(`\n${comparisonLines(runs).join("\n")}\n`);
  const reports = runs.flatMap(({ name, report }) => ("missing" in report ? [] : [{ name, report }]));
  if (reports.length > 0) writeFile(page, reportPage({ runs: reports }));
  const left = machines.length - runs.length;
  if (left > 0) console.log(`interrupted: ${left} of ${machines.length} machines were not tried`);
  return exitCodeOf(codes);
}

type CommonOptions = Omit<MatrixOptions, "output" | "devices" | "iommus" | "kernels">;

async function runOn(
  machine: MatrixMachine,
  common: CommonOptions,
  folder: string,
): Promise<{ code: number; run: ComparedRun }> {
  const { name } = machine;
  const file = join(folder, `${name}.json`);
  // An older report must not stand for a run that gave none.
  rmSync(file, { force: true });
  const options: LabRunOptions = { ...common, ...machine.options, reporter: "json", output: file };
  console.log(`vfio-selftests lab run ${asArguments(LAB_RUN_OPTIONS, optionsOf(LAB_RUN_OPTIONS, options)).join(" ")}`);
  try {
    const code = await labRun([], options);
    if (existsSync(file)) return { code, run: { name, report: readReport(file) } };
    return { code, run: { name, report: { missing: `the run ended with status ${code} before it had a report` } } };
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
    // The next machine may be better: this one's IOMMU may take no such device, its kernel may not boot.
    const code = tellError(error);
    const [missing = ""] = error.message.split("\n");
    return { code, run: { name, report: { missing } } };
  }
}

/** A machine on which nothing is known of the tests fails the matrix, as a failed test does. */
function exitCodeOf(codes: readonly number[]): number {
  const interrupted = codes.find((code) => code > INTERRUPTED);
  if (interrupted !== undefined) return interrupted;
  if (codes.some((code) => code !== ExitCode.ok && code !== ExitCode.nothingRan)) return ExitCode.failed;
  return codes.includes(ExitCode.ok) ? ExitCode.ok : ExitCode.nothingRan;
}
