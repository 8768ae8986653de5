import { InvalidArgumentError, type Command } from "commander";
import type { Action } from "../command-line";
import { addSuiteOptions } from "./run";

/** The `lab` commands: argument parsing over @vfio-selftests/lab. */
export function addLabCommand(program: Command, act: Action): void {
  const lab = program.command("lab").description("a VM with a real kernel, IOMMU and devices, on any machine");

  lab
    .command("setup")
    .description("prepare QEMU and a kernel in the cache (run and shell do it when needed)")
    .option("--kernel <image>", "use this kernel image instead of building one")
    .option("--qemu <which>", "auto, system or root (a Debian root with a new QEMU)", oneOf("auto", "system", "root"))
    .option("--force", "prepare everything anew")
    .action((options: SetupOptions) => {
      act(import("../lab/lab-commands.js").then(({ labSetup }) => labSetup(options)));
    });

  addMachineOptions(
    addSuiteOptions(
      lab
        .command("run")
        .description("run the suites in the VM; with `-- command` that command, as root, on the same files")
        .usage("[options] [-- command...]")
        .argument("[command...]", "program and arguments, after --"),
    ),
  )
    .option("--timeout <seconds>", "end the command after so long", positive)
    .action((command: string[], options: LabRunCommandOptions, self: Command) => {
      act(import("../lab/lab-commands.js").then(({ labRun }) => labRun(command, options, suiteArguments(self))));
    });

  addMachineOptions(lab.command("shell").description("a shell in the VM")).action((options: MachineOptions) => {
    act(import("../lab/lab-commands.js").then(({ labShell }) => labShell(options)));
  });
}

export interface SetupOptions {
  readonly kernel?: string;
  readonly qemu?: "auto" | "system" | "root";
  readonly force?: boolean;
}

export interface MachineOptions {
  readonly device?: readonly string[];
  readonly iommu?: string;
  readonly kernel?: string;
  readonly memory?: number;
  readonly cpus?: number;
  readonly append?: readonly string[];
  readonly console?: boolean;
}

export interface LabRunCommandOptions extends MachineOptions {
  readonly timeout?: number;
}

function addMachineOptions(command: Command): Command {
  return command
    .option(
      "-d, --device <name...>",
      "devices of the VM: igb (default), edu, nvme, …, model:ioat, model:dsa; name*count",
      collect,
    )
    .option("--iommu <name>", "intel (default), intel-scalable, amd or virtio")
    .option("--kernel <image>", "boot this kernel image")
    .option("--memory <MiB>", "memory of the VM (default 6144)", positive)
    .option("--cpus <number>", "CPUs of the VM (default 2)", positive)
    .option("--append <parameter...>", "more kernel parameters")
    .option("--console", "show the kernel's console");
}

/** The options of `run` among those given, as arguments again: for the `run` inside the VM. */
function suiteArguments(command: Command): string[] {
  const own = new Set(SUITE_OPTIONS);
  return command.options.flatMap((option) => {
    const name = option.attributeName();
    if (!own.has(name) || command.getOptionValueSource(name) !== "cli") return [];
    const value: unknown = command.getOptionValue(name);
    const flag = option.long ?? "";
    if (value === true) return [flag];
    return (Array.isArray(value) ? value : [value]).flatMap((part) => [flag, String(part)]);
  });
}

const SUITE_OPTIONS = ["mode", "driver", "test", "run", "upstream", "full", "kvmIrq", "list", "reporter", "output"];

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), ...value.split(",").filter((part) => part !== "")];
}

function positive(value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new InvalidArgumentError("A whole number above 0 is expected.");
}

function oneOf(...choices: string[]): (value: string) => string {
  return (value) => {
    if (choices.includes(value)) return value;
    throw new InvalidArgumentError(`Allowed choices are ${choices.join(", ")}.`);
  };
}
