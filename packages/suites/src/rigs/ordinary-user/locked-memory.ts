import { readFileSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { PAGE_SIZE } from "../memory/page-size";

export interface LockedMemory {
  /** Pages that count as locked (VmLck): type 1's way. */
  readonly locked: number;
  /** Pages that count as pinned (VmPin): iommufd's. */
  readonly pinned: number;
}

/** What the kernel counts of a process (/proc/PID/status), by default of this one. */
export function lockedMemory(process: number | "self" = "self"): LockedMemory {
  const status = readFileSync(systemPaths.proc(String(process), "status"), "utf8");
  const [locked = NaN, pinned = NaN] = ["VmLck", "VmPin"].map(
    (name) => (Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]) * 1024) / PAGE_SIZE,
  );
  return { locked, pinned };
}
