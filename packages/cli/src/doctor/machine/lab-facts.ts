import { readAttribute, type SystemPaths } from "@vfio-selftests/core/sysfs";
import { availableMiB, labCache, type LabHost, readLabState, type SetupNeeds, setupNeeds } from "@vfio-selftests/lab";

/** What the lab finds on this machine. */
export interface LabFacts {
  /** As `process.arch` has it. */
  readonly architecture: string;
  /** A set-up has succeeded, and its programs are there. */
  readonly ready: boolean;
  /** What the set-up would ask for. */
  readonly needs: SetupNeeds;
  /** Names of the CPU's virtualization module, where it has the feature. */
  readonly kvmModule: "kvm_intel" | "kvm_amd" | undefined;
  readonly availableMiB: number;
}

export function readLabFacts(host: LabHost, paths: SystemPaths): LabFacts {
  const flags = /^flags\s*:.*$/m.exec(readAttribute(paths.proc("cpuinfo")) ?? "")?.[0] ?? "";
  return {
    architecture: host.architecture,
    ready: readLabState(labCache(host)) !== undefined,
    needs: setupNeeds(host),
    kvmModule: / vmx\b/.test(flags) ? "kvm_intel" : / svm\b/.test(flags) ? "kvm_amd" : undefined,
    availableMiB: availableMiB(host),
  };
}
