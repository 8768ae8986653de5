import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { skip } from "@vfio-selftests/harness";
import type { KernelFile } from "@vfio-selftests/iommu-modes";

const NOBODY = 65534;
const TIMEOUT_MS = 100_000;

/** What another process is told to take over. The container is its descriptor 3. */
export interface TakeOver {
  /** In hexadecimal digits. */
  readonly iova: string;
  readonly pages: number;
  /** RLIMIT_MEMLOCK, for a process of user nobody, without CAP_IPC_LOCK. Without it, the process is the caller's user's. */
  readonly limitPages?: number;
}

/** The kernel's answer, and the pages that it then counts for that process. */
export interface Charge {
  readonly answer: string;
  readonly locked: number;
}

/** What the new owner saw: when it gave the mapping an address of its own, and when it unmapped it, where it might have it. */
export interface TakeOverResult extends Charge {
  readonly unmapped?: Charge;
}

/** Lets another process give a mapping without an address one of its own, and, where the kernel agrees, unmap it. */
export function takeOver(
  container: KernelFile,
  iova: bigint,
  { pages, limitPages }: Omit<TakeOver, "iova">,
): TakeOverResult {
  const isNobody = limitPages !== undefined;
  if (isNobody && process.getuid?.() !== 0) {
    skip({ reason: "only root can lend a device to another user", remedy: "run as root, or in the lab" });
  }
  const request: TakeOver = { iova: iova.toString(16), pages, ...(isNobody && { limitPages }) };
  const { stdout, stderr, error } = spawnSync(
    process.execPath,
    [join(__dirname, "new-owner.js"), JSON.stringify(request)],
    {
      ...(isNobody ? { uid: NOBODY, gid: NOBODY } : {}),
      encoding: "utf8",
      cwd: "/",
      timeout: TIMEOUT_MS,
      stdio: ["ignore", "pipe", "pipe", container.descriptor("take over")],
    },
  );
  if (error !== undefined) throw error;
  if (stdout === "") throw new Error(`the new owner failed: ${stderr}`);
  return JSON.parse(stdout) as TakeOverResult;
}
