import { type OptionTable, text } from "../../options/option";
import { SUITE_OPTIONS } from "../../run/options";
import type { SuiteOptions } from "../../run/run-options";
import { LAB_RUN_OPTIONS, type LabRunOptions, MACHINE_OPTIONS, type MachineOptions } from "../options";

export interface KexecOptions
  extends
    Omit<MachineOptions, "arch" | "kernel">,
    Pick<LabRunOptions, "timeoutMs">,
    Pick<SuiteOptions, "mode" | "test" | "seed" | "verbose" | "testTimeoutMs"> {
  /** The image of the first kernel. */
  readonly from?: string;
  /** The image of the next kernel. */
  readonly kernel?: string;
}

const { arch: _arch, kernel: _kernel, with: variants, source, ...machine } = MACHINE_OPTIONS;
const { mode, test, seed, verbose, testTimeoutMs } = SUITE_OPTIONS;

export const KEXEC_OPTIONS: OptionTable<KexecOptions> = {
  kernel: text(
    "--kernel <image>",
    "jump into this kernel image, or that of this built kernel tree (default: the kernel that runs first)",
  ),
  from: text(
    "--from <image>",
    "boot this kernel image, or that of this built kernel tree, first (default: the lab's own)",
  ),
  with: { ...variants, summary: "boot the kernel that `lab setup --with` built of these first" },
  source: { ...source, summary: "boot the kernel that `lab setup --source` built of this tree first" },
  ...machine,
  timeoutMs: { ...LAB_RUN_OPTIONS.timeoutMs, summary: "end a stage's command after this time" },
  test,
  mode,
  seed,
  verbose,
  testTimeoutMs,
};
