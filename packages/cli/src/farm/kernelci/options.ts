import { InvalidArgumentError } from "commander";
import { LAB_RUN_OPTIONS, type LabRunOptions, MACHINE_OPTIONS } from "../../lab/options";
import { count, flag, list, type OptionSpec, type OptionTable, text } from "../../options/option";
import { SUITE_OPTIONS } from "../../run/options";

/** Options of `lab run` that hold for every job. Kernel, choice of tests, time limit and report are the job's. */
type LabOptions = Pick<
  LabRunOptions,
  | "arch"
  | "devices"
  | "iommu"
  | "memoryMiB"
  | "cpus"
  | "kernelParameters"
  | "bootTimeoutMs"
  | "console"
  | "jobs"
  | "mode"
  | "driver"
  | "upstream"
  | "testTimeoutMs"
>;

export interface PollOptions extends LabOptions {
  /** The API's address with its version: `https://api.kernelci.org/latest`. */
  readonly api: string;
  /** What KernelCI's pipeline calls this lab. */
  readonly runtime: string;
  readonly platforms?: readonly string[];
  readonly once?: boolean;
  /** Between two questions for jobs. */
  readonly intervalMs?: number;
  /** The folder for the jobs' definitions and reports. */
  readonly output: string;
}

const { arch, devices, iommu, memoryMiB, cpus, kernelParameters, bootTimeoutMs, console } = MACHINE_OPTIONS;
const { mode, driver, upstream, testTimeoutMs } = SUITE_OPTIONS;
const { jobs } = LAB_RUN_OPTIONS;

export const LAB_OPTIONS: OptionTable<LabOptions> = {
  arch,
  devices,
  iommu,
  memoryMiB,
  cpus,
  kernelParameters,
  bootTimeoutMs,
  console,
  jobs,
  mode,
  driver,
  upstream,
  testTimeoutMs,
};

export const POLL_OPTIONS: OptionTable<PollOptions> = {
  api: address("--api <url>", "KernelCI's API: https://api.kernelci.org/latest, or your own"),
  runtime: text("--runtime <name>", "what KernelCI's pipeline calls this lab: only its jobs are taken", {
    required: true,
  }),
  platforms: list("--platform <name...>", "only jobs for these platforms (default: all of this lab's)"),
  once: flag("--once", "run the jobs that wait now, then end"),
  intervalMs: count("--interval <seconds>", "how often to ask for jobs (default: 30)", {
    least: 1,
    most: 3600,
    unit: 1000,
  }),
  output: text("-o, --output <folder>", "keep each job's definition and report there", { default: "kernelci-jobs" }),
  ...LAB_OPTIONS,
};

function address(flags: string, summary: string): OptionSpec<string> {
  const parse = (value: string): string => {
    if (!/^https?:/.test(value) || !URL.canParse(value)) {
      throw new InvalidArgumentError("An address is expected that begins with https:// or http://.");
    }
    return value.replace(/\/+$/, "");
  };
  return { ...text(flags, summary, { required: true }), parse };
}
