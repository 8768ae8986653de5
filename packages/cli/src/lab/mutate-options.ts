import { LAB_LIMITS } from "@vfio-selftests/lab";
import { DEFAULT_PATHS, OPERATORS } from "@vfio-selftests/mutants";
import { count, flag, list, type OptionTable, text, words } from "../options/option";
import { SUITE_OPTIONS } from "../run/options";
import type { SuiteOptions } from "../run/run-options";
import { MACHINE_OPTIONS, type MachineOptions } from "./options";

type Machine = Pick<
  MachineOptions,
  "devices" | "iommu" | "memoryMiB" | "cpus" | "kernelParameters" | "bootTimeoutMs" | "with" | "console" | "yes"
>;
type Suites = Pick<SuiteOptions, "mode" | "driver" | "test" | "run" | "upstream">;

export interface MutateOptions extends Machine, Suites {
  readonly files?: readonly string[];
  readonly sample?: number;
  readonly seed?: number;
  readonly operators?: readonly string[];
  readonly mutants?: readonly string[];
  readonly mostTests?: number;
  readonly mostSeconds?: number;
  readonly jobs?: number;
  readonly again?: boolean;
  readonly rebuild?: boolean;
  readonly built?: boolean;
  readonly known?: string;
  readonly keepKnown?: string;
  readonly cSuite?: string;
  readonly list?: boolean;
}

export const MUTATE_DEFAULTS = { sample: 40, seed: 1 } as const;

const {
  devices,
  iommu,
  memoryMiB,
  cpus,
  kernelParameters,
  bootTimeoutMs,
  with: variants,
  console,
  yes,
} = MACHINE_OPTIONS;
const { mode, driver, test, run, upstream } = SUITE_OPTIONS;

export const MUTATE_OPTIONS: OptionTable<MutateOptions> = {
  sample: count(
    "--sample <number>",
    `how many mutants to try, in lines that tests reach (default: ${MUTATE_DEFAULTS.sample})`,
    {
      least: 1,
      most: 1_000_000,
    },
  ),
  seed: count(
    "--seed <number>",
    `the seed of the sample (default: ${MUTATE_DEFAULTS.seed}): the same seed draws the same mutants`,
    {
      least: 0,
      most: 2 ** 32 - 1,
    },
  ),
  operators: list("--operator <name...>", `only these kinds of fault: ${OPERATORS.map(({ name }) => name).join(", ")}`),
  mutants: list("--mutant <number...>", "exactly these mutants, instead of a sample"),
  mostTests: count(
    "--most-tests <number>",
    "run at most this many tests for one mutant (default: all in which it matters)",
    {
      least: 1,
      most: 1_000_000,
    },
  ),
  mostSeconds: count(
    "--most-seconds <number>",
    "run tests for one mutant that take this long together without it (default: no limit)",
    {
      least: 1,
      most: 1_000_000,
    },
  ),
  jobs: count(
    "--jobs <number>",
    "this many VMs at once find out which tests reach which mutant (default: 1)",
    LAB_LIMITS.jobs,
  ),
  again: flag("--again", "measure again which tests reach which mutant, and try the survivors again"),
  list: flag("--list", "list the sample with its results so far, instead of trying it"),
  files: words("--files <path...>", `folders and files of the kernel to mutate (default: ${DEFAULT_PATHS.join(" ")})`),
  rebuild: flag("--rebuild", "build the kernel also when there is one"),
  built: flag("--built", "fail when there is no kernel with these mutants, instead of building it"),
  keepKnown: text("--keep-known <file>", "write the mutants that a test killed, with the test, to this file"),
  known: text("--known <file>", "instead of a sample the mutants of such a file: each must be noticed by its test"),
  cSuite: text("--c-suite <path>", "try them on the kernel's own compiled selftests in this folder or kernel tree"),
  devices,
  iommu,
  mode,
  driver,
  test,
  run,
  upstream,
  with: { ...variants, summary: "build that kernel with these variants of `lab setup --with`" },
  memoryMiB,
  cpus,
  kernelParameters,
  bootTimeoutMs,
  console,
  yes,
};
