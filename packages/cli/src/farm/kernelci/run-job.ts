import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import { readReport } from "@vfio-selftests/harness/reports";
import { DEFAULT_ARCHITECTURE } from "@vfio-selftests/lab";
import { ExitCode } from "../../exit-codes";
import { labRun } from "../../lab/lab-commands";
import { MACHINE_OPTIONS } from "../../lab/options";
import { optionsOf } from "../../options/option";
import { tellError } from "../../report-error";
import { makeReportFolder } from "../../run/report-folder";
import { address, invalidJob, type JobDefinition, parseJobDefinition } from "./job-definition";
import type { JobNode, JobResult } from "./job-node";
import { bootedResult, brokenResult, noResult, notBootedResult, suitesResult } from "./job-result";
import { LAB_OPTIONS, type PollOptions } from "./options";
import { isQuoting, publicWords } from "./quoting-error";
import { readText, saveFile } from "./web";

/** Milliseconds and bytes for a job's files. */
const DEFINITION = { timeoutMs: 60_000, most: 2 ** 20 };
const KERNEL = { timeoutMs: 900_000, most: 2 ** 30 };

/** Errors of `lab run` that come of the job's own words or kernel image. */
const FAULTS_OF_JOB = ["ERR_KERNELCI_JOB", "ERR_INVALID_ARGUMENT", "ERR_LAB_NO_IMAGE"];

/**
 * Fetches a job's definition and kernel, and runs what it asks for in the lab. Resolves to what the job comes to, whatever went
 * wrong. Rejects with the signal's reason once that is aborted, and with an error of this machine's files.
 */
export async function runJob(job: JobNode, options: PollOptions, signal: AbortSignal): Promise<JobResult> {
  const folder = join(options.output, job.id);
  makeReportFolder(folder, "farm kernelci");
  const kernel = join(folder, "kernel");
  try {
    const text = await readText(address(job.artifacts["job_definition"], "job_definition"), { ...DEFINITION, signal });
    writeFileSync(join(folder, "definition.json"), text);
    const definition = parseJobDefinition(text);
    const arch = options.arch ?? DEFAULT_ARCHITECTURE.name;
    if (definition.arch !== arch) {
      throw invalidJob(
        `it is for another CPU, and this lab's VM has ${arch}`,
        `it is for ${definition.arch}, and this lab's VM has ${arch}`,
      );
    }
    const { sha256 } = definition;
    await saveFile(definition.kernel, kernel, { ...KERNEL, ...(sha256 && { sha256 }), signal });
    return await runInVm(definition, kernel, join(folder, "report.json"), options);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof VfioError)) throw error;
    // The whole of it. What KernelCI gets is on this terminal, too, beside the job's result.
    if (isQuoting(error)) tellError(error);
    return resultOfError(error);
  } finally {
    rmSync(kernel, { force: true });
  }
}

async function runInVm(
  { suites, test, timeoutMs }: JobDefinition,
  kernel: string,
  report: string,
  options: PollOptions,
): Promise<JobResult> {
  const common = { ...optionsOf(LAB_OPTIONS, options), kernel, timeoutMs };
  if (!suites) {
    const code = await labRun(["true"], { ...optionsOf(MACHINE_OPTIONS, common), timeoutMs, reporter: "default" });
    return code === ExitCode.ok
      ? bootedResult()
      : brokenResult(`the VM's kernel booted, and \`true\` ended with ${code}`);
  }
  rmSync(report, { force: true });
  const code = await labRun([], { ...common, ...(test !== undefined && { test }), reporter: "json", output: report });
  if (!existsSync(report)) return brokenResult(`the run ended with status ${code} before it had a report`);
  const result = suitesResult(readReport(report));
  // The kernel's own complaints after the last test are in no test's result. Neither is the end of the time.
  const isTold = code === ExitCode.ok || code === ExitCode.nothingRan || result.result === "fail";
  return isTold ? result : brokenResult(`the run ended with status ${code}`, result.tests);
}

function resultOfError(error: VfioError): JobResult {
  if (error.code === "ERR_LAB_BOOT") return notBootedResult(error.message);
  if (error.code === "ERR_LAB_GUEST_LOST") return brokenResult(error.message);
  return noResult(FAULTS_OF_JOB.includes(error.code) ? "invalid_job_params" : "Infrastructure", publicWords(error));
}
