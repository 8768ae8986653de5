import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { VfioError } from "@vfio-selftests/core";
import { childExit, killChild, startChild } from "./child-process";
import { findProgram } from "./find-program";
import type { LabHost } from "./host";

/**
 * Locks by flock(2), which belong to the open file. The kernel drops one when its holder closes the file or dies,
 * whatever PID namespace or machine start that was in. Node has no flock. util-linux's program locks the descriptor
 * that it gets, and the lock stays when the program ends, because the open file is ours.
 */
const LOCKED = 3;

/** The status with which flock(1) says that somebody else holds the lock. */
const HELD = 1;

/** Takes the lock on an open file or folder. Returns false when somebody else holds it. */
export function tryLock(host: LabHost, descriptor: number): boolean {
  const { status, error } = spawnSync(flockProgram(host), ["-x", "-n", String(LOCKED)], {
    stdio: ["ignore", "ignore", "ignore", descriptor],
  });
  if (status === 0) return true;
  if (status === HELD) return false;
  throw lockError(error?.message ?? `exit status ${status ?? "unknown"}`);
}

/** Waits for the lock on an open file. Rejects with the signal's reason when that comes first. */
export async function waitForLock(host: LabHost, descriptor: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const child = startChild(host, [flockProgram(host), "-x", String(LOCKED)], {
    stdio: ["ignore", "ignore", "ignore", descriptor],
    deathSignal: "KILL",
  });
  const exit = childExit(child);
  const ended = new AbortController();
  const aborted = once(signal, "abort", { signal: ended.signal }).then(
    () => killChild(child),
    () => undefined,
  );
  const { code, description } = await exit;
  ended.abort();
  await aborted;
  signal.throwIfAborted();
  if (code !== 0) throw lockError(description);
}

function flockProgram(host: LabHost): string {
  const program = findProgram(host, "flock");
  if (program !== undefined) return program;
  throw new VfioError("the program flock is not installed", {
    code: "ERR_LAB_TOOLS_MISSING",
    operation: "lab",
    subject: "flock",
    remedy: "install the package util-linux",
  });
}

function lockError(why: string): VfioError {
  return new VfioError(`flock failed: ${why}`, {
    code: "ERR_LAB_PROGRAM_FAILED",
    operation: "flock",
    remedy: "put the cache (XDG_CACHE_HOME) and the temporary folder (TMPDIR) on file systems that can lock files",
  });
}
