import { argumentError } from "@vfio-selftests/core/errors";
import { type Durations, identify, selectTests, type TestFilter } from "@vfio-selftests/harness";
import { LAB_DEFAULTS, LAB_LIMITS } from "@vfio-selftests/lab";

/** What the number of VMs depends on. */
export interface JobsQuestion {
  /** What was asked for, if anything. */
  readonly jobs?: number | undefined;
  /** Of each VM. */
  readonly devices?: readonly string[] | undefined;
  readonly memoryMiB?: number | undefined;
  readonly filter: TestFilter;
  /** Named modes; empty: all. */
  readonly modes: readonly string[];
  readonly durations: Durations;
  /** The host's. */
  readonly cpus: number;
  readonly availableMiB: number;
}

/** Of the memory that is available, what VMs may take. */
const MEMORY_SHARE = 0.8;

/**
 * Milliseconds of tests that are worth a VM: booting one and loading the suites takes about 15 s of a CPU under
 * emulation, which the others do not have meanwhile.
 */
const WORTH_A_VM_MS = 30_000;

/** CPUs that a VM and the models which this process serves to it keep busy. */
const CPUS_WITH_MODELS = 2;

/**
 * How many VMs share the tests. One for each CPU, since a test keeps little more than one busy, and as many as there is
 * memory for; but none that would boot for less than half a minute of work.
 */
export function chooseJobs(question: JobsQuestion): number {
  const { jobs, devices = [], cpus, availableMiB, memoryMiB = LAB_DEFAULTS.memoryMiB } = question;
  const served = devices.find((device) => device.startsWith("vfio-user:"));
  if (served !== undefined) {
    if (jobs !== undefined && jobs > 1) {
      throw argumentError("lab run", "jobs", jobs, `1 with ${served}, whose server has one client`);
    }
    return 1;
  }
  if (jobs !== undefined) return jobs;
  const expected = expectedWork(question);
  const byWork = expected === undefined ? Infinity : Math.round(expected / WORTH_A_VM_MS);
  const byMemory = Math.floor((availableMiB * MEMORY_SHARE) / memoryMiB);
  const byCpus = Math.floor(cpus / (devices.some((device) => device.startsWith("model:")) ? CPUS_WITH_MODELS : 1));
  return Math.max(1, Math.min(byCpus, byMemory, byWork, LAB_LIMITS.jobs.most));
}

/** Milliseconds that the tests took last time; undefined when no test has been run. */
function expectedWork({ filter, modes, durations }: JobsQuestion): number | undefined {
  const known = Object.keys(durations).map((key) => ({ ...identify(titlesOf(key)), key }));
  if (known.length === 0) return undefined;
  const inModes = known.filter(({ mode }) => mode === undefined || modes.length === 0 || modes.includes(mode));
  return selectTests(inModes, filter).reduce((sum, { key }) => sum + (durations[key] ?? 0), 0);
}

/** Of a full id: the device, if there is one, and the parts of the id. */
function titlesOf(key: string): string[] {
  const [, device, id = key] = /^(\S+) (.*)$/.exec(key) ?? [];
  return [...(device === undefined ? [] : [device]), ...id.split(".")];
}
