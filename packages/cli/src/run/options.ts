import { DEVICE_FORMS } from "../options/device-forms";
import { choice, count, flag, list, type OptionTable, pattern, text, words } from "../options/option";
import type { RunOptions, SuiteOptions } from "./run-options";
import { shard } from "./shard-option";

export const REPORTERS = [
  "default",
  "tap",
  "ktap",
  "json",
  "junit",
] as const satisfies readonly RunOptions["reporter"][];

/** What to test and how to report: the options that `lab run` passes on to the `run` inside the VM. */
export const SUITE_OPTIONS: OptionTable<SuiteOptions> = {
  mode: list("--mode <mode...>", "IOMMU modes: vfio_type1_iommu, …, iommufd, or auto (default: all)"),
  driver: words(
    "--driver <name...>",
    "drivers to choose from: a name, a package or a path (default: those that are installed)",
  ),
  test: pattern("-t, --test <pattern>", "run the tests whose id matches this regular expression: a|b for several"),
  run: words("-r, --run <id...>", "run the tests with exactly these ids, as the C suite's -r"),
  upstream: flag("--upstream", "run only the tests that the kernel's C suite has"),
  shard: shard("--shard <i/n>", "run one of n equal parts of these tests; the same list always has the same parts"),
  full: flag(
    "--full",
    "on models, too, copy as much as the C suite does: up to 512 MiB at a time; in the lab, replace page tables under DMA 10,000 times",
  ),
  kvmIrq: text(
    "--kvm-irq <options>",
    "run kvm_irq_test (-t) once, with the C program's options: '-a -e -i 5000 -m -n -v 4 -x'",
  ),
  repeat: count("--repeat <times>", "run all chosen tests this many times", { least: 1, most: 1e6 }),
  untilFail: flag("--until-fail", "repeat the chosen tests until one fails, at most --repeat times"),
  bail: flag("--bail", "stop after the first test that fails"),
  lastFailed: flag("--last-failed", "run only the tests that failed in the last run"),
  testTimeoutMs: count("--test-timeout <seconds>", "how long each test may take (default: its own limit, often 30)", {
    least: 1,
    most: 24 * 3600,
    unit: 1000,
  }),
  seed: count("--seed <number>", "the seed of random data and order in tests (default: the same each time)", {
    least: 0,
    most: 2 ** 32 - 1,
  }),
  bisect: flag(
    "--bisect",
    "exit status for `git bisect run`: 0 good, 1 bad, 125 no verdict (nothing ran, the VM did not boot, …)",
  ),
  except: text("--except <file>", "leave out the tests whose ids are in this file, one a line"),
  gcov: text("--gcov <folder>", "write the kernel's gcov data of each test there, for `lab run --coverage`"),
  called: words(
    "--called <word...>",
    "the command that the report names to repeat a test, a word each (`lab run` gives its own)",
  ),
  list: flag("--list", "list the ids instead of running"),
  verbose: flag("-v, --verbose", "in the report for people, show every test, id and note"),
  reporter: choice("--reporter <name>", "how to report", REPORTERS, { default: "default" }),
  output: text("--output <file>", "write the report there, and the default one to the terminal"),
};

export const RUN_OPTIONS: OptionTable<RunOptions> = {
  device: list(
    "-d, --device <device...>",
    `${DEVICE_FORMS} for all with these ids, vfio-user:SOCKET or model:NAME (ioat, dsa, nv-falcon, capabilities, a path or package of your own); may be repeated`,
  ),
  bind: flag("--bind", "bind the devices to vfio-pci for the run, and give them back to their drivers at its end"),
  timeoutMs: count("--timeout <seconds>", "end the run after this time; the test that is running fails", {
    least: 1,
    most: 7 * 24 * 3600,
    unit: 1000,
  }),
  ...SUITE_OPTIONS,
};
