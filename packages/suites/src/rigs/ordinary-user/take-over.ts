import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { KernelFile } from "@vfio-selftests/iommu-modes";

const TIMEOUT_MS = 60_000;

/** What another process is told to take over. The container is its descriptor 3. */
export interface TakeOver {
  /** In hexadecimal digits. */
  readonly iova: string;
  readonly pages: number;
}

/** The kernel's answer, and the pages that it then counts for that process. */
export interface Charge {
  readonly answer: string;
  readonly locked: number;
}

/** What the new owner saw: when it gave the mapping an address of its own, and when it unmapped it. */
export interface TakeOverResult extends Charge {
  readonly unmapped: Charge;
}

/** Lets another process give a mapping without an address one of its own, and then unmap it. */
export function takeOver(container: KernelFile, iova: bigint, pages: number): TakeOverResult {
  const request: TakeOver = { iova: iova.toString(16), pages };
  const { stdout, stderr, error } = spawnSync(
    process.execPath,
    [join(__dirname, "new-owner.js"), JSON.stringify(request)],
    { encoding: "utf8", timeout: TIMEOUT_MS, stdio: ["ignore", "pipe", "pipe", container.descriptor("take over")] },
  );
  if (error !== undefined) throw error;
  if (stdout === "") throw new Error(`the new owner failed: ${stderr}`);
  return JSON.parse(stdout) as TakeOverResult;
}
