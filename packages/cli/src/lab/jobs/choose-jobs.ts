import { argumentError } from "@vfio-selftests/core/errors";
import { LAB_DEFAULTS, LAB_LIMITS } from "@vfio-selftests/lab";

/** What the number of VMs depends on. */
export interface JobsQuestion {
  /** The number that the user gave, if any. */
  readonly jobs?: number | undefined;
  /** The devices and the memory of each VM. */
  readonly devices?: readonly string[] | undefined;
  readonly memoryMiB?: number | undefined;
  /** Milliseconds that the tests take one after the other, if an earlier run tells. */
  readonly expectedMs?: number | undefined;
  /** The host's CPUs and memory. */
  readonly cpus: number;
  readonly availableMiB: number;
}

/** The part of the available memory that VMs may take. After a default run on igb, a VM of 6 GiB holds 3. */
const MEMORY_SHARE = 0.9;

/**
 * Milliseconds of tests for which another VM is worth while. To boot it and load the suites takes about 15 s of a CPU
 * under emulation, and the other VMs lack that CPU meanwhile.
 */
const WORTH_A_VM_MS = 30_000;

/**
 * VMs that keep a CPU busy. A VM of the default run on igb keeps two thirds of one busy, because a test often waits for its
 * device: each reset of a function lasts 100 ms by PCI Express, section 6.6.2.
 */
const VMS_FOR_A_CPU = 1.5;

/** CPUs that a VM keeps busy together with its models, which this process serves. */
const CPUS_WITH_MODELS = 2;

/**
 * How many VMs share the tests: three for two CPUs. There are fewer where the memory is short, or where a VM would boot
 * for less than half a minute of tests.
 */
export function chooseJobs(question: JobsQuestion): number {
  const { jobs, devices = [], cpus, availableMiB, expectedMs, memoryMiB = LAB_DEFAULTS.memoryMiB } = question;
  const served = devices.find((device) => device.startsWith("vfio-user:"));
  if (served !== undefined) {
    if (jobs !== undefined && jobs > 1) {
      throw argumentError("lab run", "jobs", jobs, `1 with ${served}, whose server has one client`);
    }
    return 1;
  }
  if (jobs !== undefined) return jobs;
  const byWork = expectedMs === undefined ? Infinity : Math.round(expectedMs / WORTH_A_VM_MS);
  const byMemory = Math.floor((availableMiB * MEMORY_SHARE) / memoryMiB);
  const withModels = devices.some((device) => device.startsWith("model:"));
  const byCpus = Math.floor(withModels ? cpus / CPUS_WITH_MODELS : cpus * VMS_FOR_A_CPU);
  return Math.max(1, Math.min(byCpus, byMemory, byWork, LAB_LIMITS.jobs.most));
}
