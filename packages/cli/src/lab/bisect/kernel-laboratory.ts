import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { EXIT_CODES } from "@vfio-selftests/harness";
import {
  buildLabKernel,
  type KeptBuild,
  type LabMachineOptions,
  type LabOptions,
  type Progress,
  runInLab,
} from "@vfio-selftests/lab";
import { ExitCode } from "../../exit-codes";
import { LineWriter } from "../jobs/line-writer";
import { machineFor } from "../kernel-choice";
import type { Laboratory, RunOnKernel } from "./bisect";
import type { RunResult } from "./verdict";

export interface KernelLaboratoryOptions {
  /** The work tree. */
  readonly tree: string;
  /** Variants of the kernel, such as `kasan`. */
  readonly variants: readonly string[];
  /** Arguments of the `run` in the VM. */
  readonly suiteArguments: readonly string[];
  readonly machine: LabMachineOptions;
  /** Starts a VM by its description. */
  readonly withMachine: <Result>(
    machine: LabMachineOptions,
    run: (lab: LabOptions) => Promise<Result>,
  ) => Promise<Result>;
  readonly progress: Progress;
}

const RUN_PROGRAM = join(__dirname, "..", "..", "main.js");

/** Builds and boots real kernels, and runs the test on them in the lab's VM. */
export class KernelLaboratory implements Laboratory {
  readonly #options: KernelLaboratoryOptions;

  constructor(options: KernelLaboratoryOptions) {
    this.#options = options;
  }

  async prepare(): Promise<RunOnKernel> {
    const { tree, variants, progress } = this.#options;
    const build = await buildLabKernel({ tree, variants }, progress);
    return () => this.#run(build);
  }

  #run(build: KeptBuild): Promise<RunResult> {
    const { machine, suiteArguments, withMachine } = this.#options;
    return withMachine(machineFor(build, machine), async (lab) => {
      const [report, errors]: [string[], string[]] = [[], []];
      const command = [process.execPath, RUN_PROGRAM, "run", ...suiteArguments, "--reporter=json"];
      const stdout = new LineWriter((line) => report.push(line));
      const stderr = new LineWriter((line) => errors.push(line));
      try {
        const { exitCode } = await runInLab({ ...lab, command, stdout, stderr });
        return resultOf(exitCode, report.join("\n"), errors.join("\n"));
      } catch (error) {
        // The kernel had booted: the test took it down, or the fault that the test is there to find.
        if (!(error instanceof VfioError) || error.code !== "ERR_LAB_GUEST_LOST") throw error;
        return { kind: "failed", failure: error.message };
      }
    });
  }
}

/** The parts of the JSON report on which a verdict depends. */
interface Report {
  readonly errors: readonly string[];
  readonly tests: readonly {
    readonly id: string;
    readonly skip?: { readonly reason: string };
    readonly failures?: readonly string[];
  }[];
}

/** Reads a run's exit code and JSON report. Throws when the command line was wrong for any kernel. */
export function resultOf(exitCode: number, json: string, errors: string): RunResult {
  if (exitCode === EXIT_CODES.passed) return { kind: "passed" };
  const report = parseReport(json);
  if (exitCode === EXIT_CODES.skipped) {
    const reasons = report?.tests.flatMap(({ skip }) => skip?.reason ?? []) ?? [];
    return { kind: "skipped", why: `the test does not run: ${[...new Set(reasons)].join("; ") || errors.trim()}` };
  }
  if (exitCode === ExitCode.usage) {
    throw new VfioError(errors.trim(), { code: "ERR_INVALID_ARGUMENT", operation: "lab bisect" });
  }
  const failures = report?.tests.flatMap(({ id, failures: texts = [] }) => texts.map((text) => `${id}\n${text}`)) ?? [];
  const told = [...failures, ...(report?.errors ?? [])];
  // There is no report when this kernel lacks a mode or a device, for example, or when something ended the process.
  if (told.length === 0) return { kind: "skipped", why: `the run ended with status ${exitCode}: ${errors.trim()}` };
  return { kind: "failed", failure: told.join("\n") };
}

function parseReport(json: string): Report | undefined {
  try {
    return JSON.parse(json) as Report;
  } catch {
    return undefined;
  }
}
