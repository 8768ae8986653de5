import { choice, flag, list, type OptionTable, pattern, text, words } from "../options/option";
import type { RunOptions } from "./run-options";

export const REPORTERS = ["default", "tap", "json", "junit"] as const satisfies readonly RunOptions["reporter"][];

/** What to test and how to report: the options that `lab run` passes on to the `run` inside the VM. */
export const SUITE_OPTIONS: OptionTable<Omit<RunOptions, "device">> = {
  mode: list("--mode <mode...>", "IOMMU modes: vfio_type1_iommu, …, iommufd, or auto (default: all)"),
  driver: words(
    "--driver <name...>",
    "drivers to choose from: a name, a package or a path (default: built in and found)",
  ),
  test: pattern("-t, --test <pattern>", "run the tests whose id matches this regular expression"),
  run: words("-r, --run <id...>", "run the tests with exactly these ids, as the C suite's -r"),
  upstream: flag("--upstream", "run only the tests that the kernel's C suite has"),
  full: flag("--full", "on models, too, copy as much as the C suite does: up to 512 MiB at a time"),
  kvmIrq: text(
    "--kvm-irq <options>",
    "run kvm_irq_test (-t) once, with the C program's options: '-a -e -i 5000 -m -n -v 4 -x'",
  ),
  except: text("--except <file>", "leave out the tests whose ids are in this file, a line each"),
  gcov: text("--gcov <folder>", "keep the kernel's gcov data of each test there, for `lab run --coverage`"),
  list: flag("--list", "list the ids instead of running"),
  reporter: choice("--reporter <name>", "how to report", REPORTERS, { default: "default" }),
  output: text("--output <file>", "write the report there, and the default one to the terminal"),
};

export const RUN_OPTIONS: OptionTable<RunOptions> = {
  device: list("-d, --device <address...>", "0000:6a:01.0, vfio-user:SOCKET or model:NAME; may be repeated"),
  ...SUITE_OPTIONS,
};
