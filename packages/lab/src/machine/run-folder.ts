import { chmodSync, closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryLock } from "../host/file-lock";
import type { LabHost } from "../host/host";
import type { Share } from "./shares";

const PREFIX = "vfio-lab-run-";

/** A Unix socket's path has 107 bytes at most. Our names take up to 10 of them. */
const LONGEST_BASE = 60;

/** Milliseconds after which a folder without a lock belongs to a run that died, and is not one just made. */
const UNLOCKED_MS = 60_000;

/** Anybody may make such a name in the temporary folder. A FIFO would block the open, and a link leads elsewhere. */
const OPEN_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** A run's folder, with its sockets and the files that the guest reads. */
export interface RunFolder extends Disposable {
  readonly path: string;
  file(name: RunFile): string;
}

export type RunFile =
  | "plan.sh"
  | "command.sh"
  | "next-command.sh"
  | "next-kernel"
  | "init.sh"
  | "control"
  | "stdin"
  | "stdout"
  | "stderr"
  | "terminal"
  | "gdb"
  | "monitor"
  | "qmp"
  | "serial"
  | Share["name"];

/**
 * Makes a folder for one run that only this user may enter, and removes those of runs that died. A run holds a lock on
 * its folder, which the kernel drops when the process ends, whatever PID namespace it lives in.
 */
export function makeRunFolder(host: LabHost): RunFolder {
  const base = tmpdir().length <= LONGEST_BASE ? tmpdir() : "/tmp";
  removeAbandoned(host, base);
  const path = mkdtempSync(join(base, `${PREFIX}${process.pid}-`));
  const descriptor = openSync(path, "r");
  if (!tryLock(host, descriptor)) throw new Error(`somebody else has locked ${path}`);
  chmodSync(path, 0o700);
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  // `lab run | head` makes this process exit as soon as nobody reads any more.
  process.on("exit", remove);
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => {
      process.off("exit", remove);
      remove();
      closeSync(descriptor);
    },
  };
}

function removeAbandoned(host: LabHost, base: string): void {
  for (const name of readdirSync(base)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(base, name);
    let descriptor: number | undefined;
    try {
      if (Date.now() - statSync(path).mtimeMs < UNLOCKED_MS) continue;
      descriptor = openSync(path, OPEN_FOLDER);
      if (tryLock(host, descriptor)) rmSync(path, { recursive: true, force: true });
    } catch {
      // The folder is another user's, or gone meanwhile.
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }
}
