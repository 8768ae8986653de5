import { type OptionTable, pattern, text } from "../../options/option";
import { SUITE_OPTIONS } from "../../run/options";
import type { RunOptions } from "../../run/run-options";
import { MACHINE_OPTIONS, type MachineOptions } from "../options";

/** The description of the VM. The bisection chooses its kernels, of which none has modules. */
export type BisectMachineOptions = Omit<
  MachineOptions,
  "anyConfig" | "arch" | "kernel" | "modules" | "source" | "with"
>;

export interface BisectOptions extends BisectMachineOptions, Pick<RunOptions, "mode" | "driver" | "full"> {
  readonly test: string;
  /** A folder in the repository. Default: the current one. */
  readonly source?: string;
  /** Variants of the kernel. */
  readonly with?: readonly string[];
  /** File for the summary. */
  readonly output?: string;
}

const {
  anyConfig: _anyConfig,
  arch: _arch,
  kernel: _kernel,
  modules: _modules,
  source: _source,
  with: variants,
  ...machine
} = MACHINE_OPTIONS;

export const BISECT_MACHINE_OPTIONS: OptionTable<BisectMachineOptions> = machine;

const { mode, driver, full } = SUITE_OPTIONS;

export const BISECT_OPTIONS: OptionTable<BisectOptions> = {
  test: { ...pattern("-t, --test <pattern>", "the test: ids that match this regular expression"), required: true },
  source: text("--source <tree>", "the kernel tree, a git repository (default: the current folder)"),
  with: { ...variants, summary: "build the kernels with these, as `lab setup --with` does" },
  mode,
  driver,
  full,
  ...machine,
  output: text("--output <file>", "write the summary there, too"),
};
