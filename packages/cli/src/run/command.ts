import { Option, type Command } from "commander";
import type { Action } from "../command-line";
import type { RunOptions } from "../run/run-options";

/** The options of `run`, which `lab run` passes on to the `run` inside the VM. */
export function addSuiteOptions(command: Command): Command {
  return command
    .option("--mode <mode...>", "IOMMU modes: vfio_type1_iommu, …, iommufd, or auto (default: all)", collect)
    .option("--driver <name...>", "drivers to choose from: a name, a package or a path (default: built in and found)")
    .option("-t, --test <pattern>", "run the tests whose id matches this regular expression")
    .option("-r, --run <id...>", "run the tests with exactly these ids, as the C suite's -r")
    .option("--upstream", "run only the tests that the kernel's C suite has")
    .option("--full", "on models, too, copy as much as the C suite does: up to 512 MiB at a time")
    .option(
      "--kvm-irq <options>",
      "run kvm_irq_test (-t) once, with the C program's options: '-a -e -i 5000 -m -n -v 4 -x'",
    )
    .option("--list", "list the ids instead of running")
    .addOption(
      new Option("--reporter <name>", "how to report").choices(["default", "tap", "json", "junit"]).default("default"),
    )
    .option("--output <file>", "write the report there, and the default one to the terminal");
}

export function addRunCommand(program: Command, act: Action): void {
  addSuiteOptions(
    program
      .command("run")
      .description("run the test suites")
      .option("-d, --device <address...>", "0000:6a:01.0, vfio-user:SOCKET or model:NAME; may be repeated", collect),
  ).action((options: RunOptions) => {
    act(import("../run/run-suites.js").then(({ runSuites }) => runSuites(options)));
  });
}

/** Values separated by commas, in repeated options, or one after the other. */
function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), ...value.split(",").filter((part) => part !== "")];
}
