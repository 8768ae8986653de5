import { spawnSync } from "node:child_process";
import { join } from "node:path";

const NOBODY = 65534;
/** A process may wait for another, and both take seconds to start on an emulated machine. */
const TIMEOUT_MS = 100_000;
/** The descriptor by which the program has the iommufd. */
export const IOMMUFD = 3;

/** What a process without CAP_IPC_LOCK asks of an iommufd that somebody else opened. */
export type SpaceStep =
  /** Maps memory of its own by its address, or by its file (memfd). */
  | { readonly do: "map" | "map_file"; readonly ioas: number; readonly pages: number; readonly iova: number }
  | { readonly do: "unmap"; readonly ioas: number; readonly pages: number; readonly iova: number }
  /** Copies the mapping at `from`. */
  | { readonly do: "copy"; readonly ioas: number; readonly pages: number; readonly iova: number; readonly from: number }
  /** Lets pages count for the process (IOMMU_OPTION_RLIMIT_MODE). */
  | { readonly do: "count_for_process" }
  /** IOMMU_IOAS_CHANGE_PROCESS */
  | { readonly do: "take_over" }
  /** Attaches a mock device to the space (CONFIG_IOMMUFD_TEST). */
  | { readonly do: "attach_mock"; readonly ioas: number }
  /** Lets another process of the same user make these steps, which ends before the next step. */
  | { readonly do: "other"; readonly limitPages: number; readonly steps: readonly SpaceStep[] };

export interface SpaceProgram {
  /** RLIMIT_MEMLOCK. */
  readonly limitPages: number;
  readonly steps: readonly SpaceStep[];
}

/** After a step: the kernel's answer, and pages that it counts for the process (VmPin, VmLck) and for the one that started it. */
export interface StepResult {
  readonly code: string;
  readonly pinned: number;
  readonly locked: number;
  readonly starterPinned: number;
}

/** Runs the steps in a process of user nobody, or of the caller where it is nobody already. */
export function spaceSteps(iommufd: number, program: SpaceProgram): StepResult[] {
  const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const { stdout, stderr, error } = spawnSync(
    process.execPath,
    [join(__dirname, "take-space-steps.js"), JSON.stringify(program)],
    { ...asNobody, encoding: "utf8", cwd: "/", timeout: TIMEOUT_MS, stdio: ["ignore", "pipe", "pipe", iommufd] },
  );
  if (error !== undefined) throw error;
  if (stdout === "") throw new Error(`the process of nobody's failed: ${stderr}`);
  return JSON.parse(stdout) as StepResult[];
}
