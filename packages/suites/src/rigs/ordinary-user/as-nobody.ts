import { spawnSync } from "node:child_process";
import { chownSync, statSync } from "node:fs";
import { join } from "node:path";
import type { IommuMode } from "@vfio-selftests/core";
import { iommuGroupOf, systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

const NOBODY = 65534;
const TIMEOUT_MS = 60_000;

/** Maps and unmaps under RLIMIT_MEMLOCK, by a process without CAP_IPC_LOCK. */
export interface LimitedMaps {
  readonly mode: string;
  readonly address: string;
  readonly limitPages: number;
  /** Pages to map. A step of -N unmaps the N-th map that succeeded. */
  readonly steps: readonly number[];
}

export interface LimitedMapsResult {
  /** `ok`, `unmapped` or the errno's name. */
  readonly answers: readonly string[];
  /** Pages that the kernel counts after each step. */
  readonly locked: readonly number[];
  /** What the kernel said to IOMMU_OPTION_RLIMIT_MODE. */
  readonly limitModeChange: string;
}

/** Lends the device's files to user nobody while a process of that user maps. Skips the test unless root runs it. */
export function asNobody(
  mode: IommuMode,
  address: string,
  maps: Pick<LimitedMaps, "limitPages" | "steps">,
): LimitedMapsResult {
  if (process.getuid?.() !== 0) {
    skip({ reason: "only root can lend a device to another user", remedy: "run as root, or in the lab" });
  }
  const { container } = mode.traits;
  const files =
    container === undefined
      ? [systemPaths.dev("iommu"), vfioCdevPath(address)]
      : [systemPaths.dev(...container.path), systemPaths.dev("vfio", String(iommuGroupOf(address)))];
  const owners = files.map((file) => ({ file, owner: statSync(file) }));
  try {
    for (const file of files) chownSync(file, NOBODY, NOBODY);
    const request: LimitedMaps = { mode: mode.name, address, ...maps };
    const { stdout, stderr, error } = spawnSync(
      process.execPath,
      [join(__dirname, "limited-maps.js"), JSON.stringify(request)],
      { uid: NOBODY, gid: NOBODY, encoding: "utf8", cwd: "/", timeout: TIMEOUT_MS },
    );
    if (error !== undefined) throw error;
    if (stdout === "") throw new Error(`the process of nobody's failed: ${stderr}`);
    return JSON.parse(stdout) as LimitedMapsResult;
  } finally {
    for (const { file, owner } of owners) chownSync(file, owner.uid, owner.gid);
  }
}
