import { KERNEL_VARIANTS } from "@vfio-selftests/lab";
import { defineCommand } from "../options/command";
import { tellError } from "../report-error";
import { withBisectStatus } from "../run/bisect-status";
import { BISECT_OPTIONS, type BisectOptions } from "./bisect/options";
import { KEXEC_OPTIONS, type KexecOptions } from "./kexec/options";
import { MATRIX_OPTIONS, type MatrixOptions } from "./matrix/options";
import { MUTATE_OPTIONS, type MutateOptions } from "./mutate-options";
import {
  COVERAGE_OPTIONS,
  type CoverageOptions,
  GDB_OPTIONS,
  type GdbOptions,
  KERNEL_CONFIG_OPTIONS,
  type KernelConfigOptions,
  LAB_RUN_OPTIONS,
  type LabRunOptions,
  MACHINE_OPTIONS,
  type MachineOptions,
  SETUP_OPTIONS,
  type SetupOptions,
} from "./options";

const FILES =
  "The VM sees the machine's whole file tree. What it writes stays in its memory and is gone at its end,\n" +
  "except below the current folder and the folders of --rw";

export const labSetupCommand = defineCommand<SetupOptions>({
  options: SETUP_OPTIONS,
  notes: [
    `What --with builds:\n\n${KERNEL_VARIANTS.map(({ name, finds, costs }) => `- ${name}: ${finds}. Costs: ${costs}`).join("\n")}`,
    "`lab run`, `lab shell` and `lab gdb` use a kernel of --with or --source when they get the same --with and --source.",
  ],
  run: async (_args, options) => (await import("./lab-commands.js")).labSetup(options),
});

export const labRunCommand = defineCommand<LabRunOptions>({
  argument: { usage: "[command...]", summary: "program and arguments, after --" },
  usage: "[options] [-- command...]",
  options: LAB_RUN_OPTIONS,
  notes: [`${FILES} and --output.`, "The options of `run` go to the `run` in the VM."],
  run: async (command, options) =>
    withBisectStatus(
      options.bisect,
      async () => (await import("./lab-commands.js")).labRun(command, options),
      tellError,
    ),
});

export const labMatrixCommand = defineCommand<MatrixOptions>({
  options: MATRIX_OPTIONS,
  notes: [
    "Runs the same tests on each device × IOMMU × kernel, one machine after the other. At the end a table shows each machine's\ntotals, and the tests whose results are not the same everywhere, with the reasons of skips and failures.",
    "A machine that cannot be, or whose kernel does not boot, has its reason in the table and fails the command.",
  ],
  run: async (_args, options) => (await import("./matrix/lab-matrix.js")).labMatrix(options),
});

export const labKexecCommand = defineCommand<KexecOptions>({
  argument: { usage: "[commands...]", summary: "two commands, each after --: the first kernel's, and the next one's" },
  usage: "[options] [-- command... -- command...]",
  options: KEXEC_OPTIONS,
  notes: [
    "The VM boots, runs the first command, jumps into the next kernel (kexec) and runs the second command there. Both kernels have\n" +
      "their Live Update Orchestrator switched on (kho=on liveupdate=on). A first command that fails ends the VM without a jump.",
    "Processes that the first command leaves behind live until the jump: a live update session ends with the last one that has it\nopen. VFIO_SELFTESTS_STAGE tells a command its stage, 1 or 2.",
    "Without commands both kernels run the suites, by default the tests named liveupdate.",
    `${FILES}.`,
  ],
  run: async (words, options) => (await import("./kexec/lab-kexec.js")).labKexec(words, options),
});

export const labShellCommand = defineCommand<MachineOptions>({
  options: MACHINE_OPTIONS,
  notes: [`${FILES}.`],
  run: async (_args, options) => (await import("./lab-commands.js")).labShell(options),
});

export const labBisectCommand = defineCommand<BisectOptions>({
  argument: {
    usage: "<commits...>",
    summary: "GOOD, a commit on which the test passes, and BAD, one on which it fails",
  },
  usage: "[options] GOOD BAD",
  options: BISECT_OPTIONS,
  notes: [
    "The command builds, boots and tests each kernel in its own work tree. Your tree, its index and a bisection of yours\n" +
      "stay as they are. It skips commits that do not build or boot. A test whose runs disagree runs again.",
    "Ctrl-C ends it at any point; the same command goes on from there.",
  ],
  run: async (commits, options) => (await import("./bisect/lab-bisect.js")).labBisect(commits, options),
});

export const labKernelConfigCommand = defineCommand<KernelConfigOptions>({
  options: KERNEL_CONFIG_OPTIONS,
  notes: [
    "For any build system: `vfio-selftests lab kernel-config --with kasan > lab.config`, and in a kernel tree\n`scripts/kconfig/merge_config.sh .config lab.config`.",
  ],
  run: async (_args, options) => (await import("./kernel-config.js")).labKernelConfig(options),
});

export const labGdbCommand = defineCommand<GdbOptions>({
  argument: { usage: "[command...]", summary: "program and arguments, after --; without them a shell" },
  usage: "[options] [-- command...]",
  options: GDB_OPTIONS,
  notes: [
    "Prints the command to type in another terminal. Without --with and --source the VM boots the kernel of --with debug-info.",
  ],
  run: async (command, options) => (await import("./lab-commands.js")).labGdb(command, options),
});

export const labMutateCommand = defineCommand<MutateOptions>({
  options: MUTATE_OPTIONS,
  notes: [
    "Builds a kernel that holds thousands of faults, one of which is active at a time (docs/mutants.md). The first run takes\nas long as a kernel build. The command keeps all results, and goes on from them after an interrupt.",
  ],
  run: async (_args, options) => (await import("./mutate.js")).labMutate(options),
});

export const labCoverageCommand = defineCommand<CoverageOptions>({
  options: COVERAGE_OPTIONS,
  notes: ["Shows what all runs of `lab run --coverage` on the same kernel have measured together."],
  run: async (_args, options) => (await import("../coverage/lab-coverage.js")).labCoverage(options),
});
