import { environmentOptions, type ReportFormatName, type Shard, type TargetOptions } from "@vfio-selftests/harness";

/** The options of `run`, as the command line gives them. */
export interface RunOptions {
  readonly device?: readonly string[];
  /** Whether vfio-pci gets the devices for the run only. */
  readonly bind?: boolean;
  readonly mode?: readonly string[];
  readonly driver?: readonly string[];
  readonly test?: string;
  readonly run?: readonly string[];
  readonly upstream?: boolean;
  readonly shard?: Shard;
  readonly full?: boolean;
  readonly kvmIrq?: string;
  readonly repeat?: number;
  readonly untilFail?: boolean;
  readonly bail?: boolean;
  readonly lastFailed?: boolean;
  /** Limit of each test, in milliseconds. */
  readonly testTimeoutMs?: number;
  /** Limit of the whole run, in milliseconds. */
  readonly timeoutMs?: number;
  readonly seed?: number;
  readonly bisect?: boolean;
  /** A file with the ids of tests to leave out, one a line. */
  readonly except?: string;
  /** A folder for the kernel's gcov counters of each test. */
  readonly gcov?: string;
  /** The words of the command that reports name to repeat a test, where it is not this `run`. */
  readonly called?: readonly string[];
  readonly list?: boolean;
  /** Whether the report for people shows every test. */
  readonly verbose?: boolean;
  readonly reporter: ReportFormatName;
  readonly output?: string;
}

/** The options that a `run` in the lab's VM has, too. The VM's devices are bound, and the time limit is the VM's. */
export type SuiteOptions = Omit<RunOptions, "device" | "bind" | "timeoutMs">;

/** What to test: what the command line names, else what the environment names. */
export function namedTarget(
  { device, mode, driver, full, kvmIrq, seed }: RunOptions,
  environment = environmentOptions(),
): TargetOptions {
  return {
    devices: device ?? environment.devices,
    modes: mode ?? environment.modes,
    drivers: driver ?? environment.drivers,
    full: full ?? environment.full,
    kvmIrq: kvmIrq ?? environment.kvmIrq,
    seed: seed ?? environment.seed,
    failingExample: environment.failingExample,
    lab: environment.lab,
    slowdown: environment.slowdown,
    confined: environment.confined,
    stage: environment.stage,
  };
}
