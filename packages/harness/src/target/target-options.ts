import { argumentError } from "@vfio-selftests/core/errors";

/**
 * What a run tests, as plain data. Whoever starts jest gives it as `testEnvironmentOptions: { target }`, and the test
 * file makes its target of it. Drivers and modes are names here, because a test file loads its own modules.
 */
export interface TargetOptions {
  /** `0000:6a:01.0`, `vfio-user:PATH` or `model:NAME`. */
  readonly devices: readonly string[];
  /** Names of modes. Empty: all. */
  readonly modes: readonly string[];
  /** Names, packages or paths of drivers, which then are the only ones. Empty: those that come with the toolkit or the project. */
  readonly drivers: readonly string[];
  /** Makes copies as large as upstream's on models, too. */
  readonly full: boolean;
  /** One run of the KVM interrupt test by upstream's options, `-e -i 5000 -v 4`, instead of its variants. */
  readonly kvmIrq: string | undefined;
  /** The seed of all that tests do at random. Undefined: each test has its own, the same in every run. */
  readonly seed: number | undefined;
  /** Whether the example that fails on purpose is part of the run (docs/failing-example.md). */
  readonly failingExample: boolean;
  /** Whether the process runs in the lab's VM. */
  readonly lab: boolean;
  /** How many times longer the kernel takes than an ordinary one, as one with KASAN does: tests get more time. */
  readonly slowdown: number;
  /** Whether an ordinary user owns the VM, whose root can change no file of anybody else. */
  readonly confined: boolean;
  /** On which of a live update's kernels the process runs: 1, the first, or 2, the next. Undefined: there is no live update. */
  readonly stage: number | undefined;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment variables say what to test where a run has no options of its own. Nothing else reads them. */
export function environmentOptions(environment: Environment = process.env): TargetOptions {
  return {
    devices: list(environment["VFIO_SELFTESTS_BDF"]),
    modes: list(environment["VFIO_SELFTESTS_MODE"]),
    drivers: list(environment["VFIO_SELFTESTS_DRIVER"]),
    full: environment["VFIO_SELFTESTS_FULL"] !== undefined,
    kvmIrq: environment["VFIO_SELFTESTS_KVM_IRQ"],
    seed: number(environment, "VFIO_SELFTESTS_SEED"),
    failingExample: environment["VFIO_SELFTESTS_FAILING_EXAMPLE"] !== undefined,
    lab: environment["VFIO_SELFTESTS_LAB"] !== undefined,
    slowdown: number(environment, "VFIO_SELFTESTS_SLOWDOWN") ?? 1,
    confined: environment["VFIO_SELFTESTS_CONFINED"] !== undefined,
    stage: stage(environment, "VFIO_SELFTESTS_STAGE"),
  };
}

/** Global of a test's realm with `testEnvironmentOptions.target`. The jest environment sets it. @internal */
export const TARGET = Symbol.for("vfio-selftests.target");

/**
 * What this test file runs against: the options given to jest, filled up from the environment. Throws for unknown
 * names.
 */
export function targetOptions(environment: Environment = process.env): TargetOptions {
  const fromEnvironment = environmentOptions(environment);
  const given = (globalThis as { [TARGET]?: Partial<TargetOptions> })[TARGET] ?? {};
  for (const name of Object.keys(given)) {
    if (name in fromEnvironment) continue;
    const allowed = Object.keys(fromEnvironment).join(", ");
    throw argumentError("jest's testEnvironmentOptions", "target", name, allowed);
  }
  return { ...fromEnvironment, ...given };
}

/** Throws for anything but a whole number, because a misspelt seed must not pass for none. */
function number(environment: Environment, name: string): number | undefined {
  const text = environment[name];
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw argumentError("environment", name, text, "a whole number");
}

/** Throws for any other number, with which the tests of both stages would skip. */
function stage(environment: Environment, name: string): number | undefined {
  const value = number(environment, name);
  if (value === undefined || value === 1 || value === 2) return value;
  throw argumentError("environment", name, value, "1 before the jump, 2 after it");
}

/** Parts separated by spaces or commas. */
function list(text = ""): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== "");
}
