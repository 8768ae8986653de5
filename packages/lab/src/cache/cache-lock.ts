import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import { tryLock, waitForLock } from "../host/file-lock";
import type { LabHost } from "../host/host";

/** How to wait for the lock. */
export interface CacheLockOptions {
  /** Ends the wait with the signal's reason. */
  readonly signal: AbortSignal;
  /** Called once when another process holds the lock, with what that process wrote about itself. */
  onWait(holder: string): void;
}

/** The lock, held until disposal. */
export interface CacheLock extends Disposable {
  /** Whether another process had the lock first. It may have changed the cache. */
  readonly waited: boolean;
}

/**
 * Takes the lock of the cache, after the process that has it. The lock ends with the returned handle, or this process.
 */
export async function takeCacheLock(host: LabHost, path: string, options: CacheLockOptions): Promise<CacheLock> {
  const descriptor = openLock(path);
  let waited = false;
  try {
    if (!tryLock(host, descriptor)) {
      waited = true;
      options.onWait(readFileSync(path, "utf8").trim());
      await waitForLock(host, descriptor, options.signal);
    }
    // The text is for people; the kernel keeps the lock. The file stays, because a waiting process has it open.
    ftruncateSync(descriptor);
    writeSync(descriptor, `process ${process.pid} on ${hostname()}\n`);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return { waited, [Symbol.dispose]: () => closeSync(descriptor) };
}

function openLock(path: string): number {
  const folder = dirname(path);
  try {
    makeFolder(folder);
    return openSync(path, "a+", 0o600);
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "lab setup", {
      message: `the lab cannot write to its folder ${folder}: ${errnoName(-result)}`,
      subject: folder,
      remedy: "make it writable for this user, or name another place in XDG_CACHE_HOME",
    });
  }
}
