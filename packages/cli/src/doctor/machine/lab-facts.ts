import { readAttribute, type SystemPaths } from "@vfio-selftests/core/sysfs";
import { availableMiB, findProgram, labCache, type LabHost, readLabState } from "@vfio-selftests/lab";

/** What the lab finds on this machine. */
export interface LabFacts {
  /** As `process.arch` has it. */
  readonly architecture: string;
  /** A set-up has succeeded, and its programs are there. */
  readonly ready: boolean;
  /** Programs of which the set-up needs one. */
  readonly programs: { readonly qemu: boolean; readonly virtiofsd: boolean; readonly apt: boolean };
  /** Names of the CPU's virtualization module, where it has the feature. */
  readonly kvmModule: "kvm_intel" | "kvm_amd" | undefined;
  readonly availableMiB: number;
}

/** virtiofsd is not in PATH on most distributions. */
const VIRTIOFSD = ["virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"] as const;

export function readLabFacts(host: LabHost, paths: SystemPaths): LabFacts {
  const flags = /^flags\s*:.*$/m.exec(readAttribute(paths.proc("cpuinfo")) ?? "")?.[0] ?? "";
  const has = (...names: readonly string[]) => names.some((name) => findProgram(host, name) !== undefined);
  return {
    architecture: host.architecture,
    ready: readLabState(labCache(host)) !== undefined,
    programs: { qemu: has("qemu-system-x86_64"), virtiofsd: has(...VIRTIOFSD), apt: has("apt-get") },
    kvmModule: / vmx\b/.test(flags) ? "kvm_intel" : / svm\b/.test(flags) ? "kvm_amd" : undefined,
    availableMiB: availableMiB(host),
  };
}
