import { list, type OptionTable, text, words } from "../../options/option";
import { SUITE_OPTIONS } from "../../run/options";
import type { SuiteOptions } from "../../run/run-options";
import { LAB_RUN_OPTIONS, type LabRunOptions, MACHINE_OPTIONS, type MachineOptions } from "../options";

type Machine = Pick<
  MachineOptions,
  | "anyConfig"
  | "memoryMiB"
  | "cpus"
  | "writable"
  | "kernelParameters"
  | "qemuArguments"
  | "bootTimeoutMs"
  | "console"
  | "yes"
>;
type Suites = Pick<SuiteOptions, "mode" | "driver" | "test" | "run" | "upstream" | "full" | "seed" | "testTimeoutMs">;

export interface MatrixOptions extends Machine, Suites, Pick<LabRunOptions, "jobs" | "timeoutMs"> {
  /** The devices of a machine in each word, separated by commas. */
  readonly devices?: readonly string[];
  readonly iommus?: readonly string[];
  /** Images, kernel trees, `lab`. */
  readonly kernels?: readonly string[];
  /** The folder for the reports. */
  readonly output: string;
}

const { anyConfig, memoryMiB, cpus, writable, kernelParameters, qemuArguments, bootTimeoutMs, console, yes } =
  MACHINE_OPTIONS;
const { mode, driver, test, run, upstream, full, seed, testTimeoutMs } = SUITE_OPTIONS;
const { jobs, timeoutMs } = LAB_RUN_OPTIONS;

export const MATRIX_OPTIONS: OptionTable<MatrixOptions> = {
  devices: words(
    "-d, --device <lab-devices...>",
    "a machine with each of these devices, as `lab run` names them; a,b: one machine with both (default: igb)",
  ),
  iommus: list(
    "--iommu <name...>",
    "a machine with each of these IOMMUs, and with the CPU that has it (default: intel)",
  ),
  kernels: words(
    "--kernel <kernel...>",
    "each of these kernels: an image, a tree that was built, in place or by `lab setup --source`, or `lab`, the lab's own (default: lab)",
  ),
  anyConfig,
  output: text("-o, --output <folder>", "write a report of each machine, and a page of all, there", {
    default: "vfio-matrix",
  }),
  jobs,
  timeoutMs: { ...timeoutMs, summary: "end the run on a machine after this time" },
  mode,
  driver,
  test,
  run,
  upstream,
  full,
  seed,
  testTimeoutMs,
  memoryMiB,
  cpus,
  writable,
  kernelParameters,
  qemuArguments,
  bootTimeoutMs,
  console,
  yes,
};
