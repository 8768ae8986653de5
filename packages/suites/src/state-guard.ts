import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

/**
 * Waits for the end of its input. A line says that all is well; end of file without one says that the guarded process
 * is gone, however it went, and the old value is written back. In a session of its own, so that Ctrl-C does not reach it.
 */
const GUARD = 'trap "" INT TERM HUP; read -r released || printf %s "$1" > "$2"';

/**
 * A value in a file of the machine (`sriov_numvfs`, `nr_hugepages`, …) that goes back to what it was: at disposal, and
 * also when the process is killed before.
 */
export class GuardedValue implements Disposable {
  readonly path: string;
  /** What it was and will be again. */
  readonly original: string;
  readonly #guard: ChildProcess;
  #released = false;

  /** Reads the value; nothing changes yet. */
  constructor(path: string) {
    this.path = path;
    this.original = readFileSync(path, "utf8").trim();
    this.#guard = spawn("sh", ["-c", GUARD, "sh", this.original, path], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#guard.unref();
  }

  set(value: string | number): void {
    writeFileSync(this.path, String(value));
  }

  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    // The guard is told last: should this write fail or the process die here, it still does its work.
    writeFileSync(this.path, this.original);
    this.#guard.stdin?.end("released\n");
  }
}
