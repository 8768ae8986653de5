import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PREFIX = "vfio-lab-";

/** A Unix socket's path has 107 bytes; ours have names of up to 10. */
const LONGEST_BASE = 60;

/** The sockets in a run's folder, and the two files the guest reads from it. */
export interface RunFolder extends Disposable {
  readonly path: string;
  file(name: RunFile): string;
}

export type RunFile =
  | "plan.sh"
  | "command.sh"
  | "init.sh"
  | "fs"
  | "control"
  | "stdin"
  | "stdout"
  | "stderr"
  | "terminal"
  | "serial"
  | "console.log";

/** Makes a folder for one run that only this user may enter, and removes those of runs that died. */
export function makeRunFolder(): RunFolder {
  const base = tmpdir().length <= LONGEST_BASE ? tmpdir() : "/tmp";
  for (const name of readdirSync(base)) {
    const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    try {
      rmSync(join(base, name), { recursive: true, force: true });
    } catch {
      // Another user's
    }
  }
  const path = mkdtempSync(join(base, `${PREFIX}${process.pid}-`));
  chmodSync(path, 0o700);
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}
