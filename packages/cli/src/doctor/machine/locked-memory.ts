import { readAttribute, type SystemPaths } from "@vfio-selftests/core/sysfs";

/** How much memory this process may lock, in bytes; Infinity without a limit. */
export interface LockedMemory {
  readonly soft: number;
  readonly hard: number;
  /** CAP_IPC_LOCK: neither VFIO nor iommufd looks at the limit. */
  readonly exempt: boolean;
}

/** linux/capability.h. vfio_lock_acct and iopt_alloc_pages ask for it. */
const CAP_IPC_LOCK = 14n;

export function readLockedMemory(paths: SystemPaths): LockedMemory {
  const limits = readAttribute(paths.proc("self", "limits")) ?? "";
  const [, soft = "unlimited", hard = "unlimited"] = /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readAttribute(paths.proc("self", "status")) ?? "")?.[1] ?? "0";
  return {
    soft: soft === "unlimited" ? Infinity : Number(soft),
    hard: hard === "unlimited" ? Infinity : Number(hard),
    exempt: ((BigInt(`0x${effective}`) >> CAP_IPC_LOCK) & 1n) === 1n,
  };
}
