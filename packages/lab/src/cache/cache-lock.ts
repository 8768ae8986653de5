import { VfioError } from "@vfio-selftests/core";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Time at which a process started, in clock ticks since boot (`proc(5)`, stat field 22), or `undefined` when it is gone. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold anything.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/**
 * Takes a lock file that names its holder by process id and start time. One whose holder has died is taken over.
 * The lock goes with the returned handle.
 */
export function takeLock(path: string): Disposable {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, startTime: startTime(process.pid) }));
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        // link(2) fails when the name exists, and what appears is complete.
        linkSync(mine, path);
        return {
          [Symbol.dispose]: () => {
            rmSync(path, { force: true });
          },
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = livingHolder(path);
      if (holder !== undefined) {
        throw new VfioError(`another lab set-up is running (process ${holder})`, {
          code: "ERR_LAB_BUSY",
          operation: "lab setup",
          subject: path,
          remedy: "wait until it has finished, or end it",
        });
      }
      rmSync(path, { force: true });
    }
    throw new VfioError(`cannot take the lock ${path}`, {
      code: "ERR_LAB_BUSY",
      operation: "lab setup",
      subject: path,
    });
  } finally {
    rmSync(mine, { force: true });
  }
}

function livingHolder(path: string): number | undefined {
  try {
    const { pid, startTime: started } = JSON.parse(readFileSync(path, "utf8")) as { pid: number; startTime?: string };
    return startTime(pid) !== undefined && startTime(pid) === started ? pid : undefined;
  } catch {
    return undefined;
  }
}
