import { closeSync, openSync, readSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/**
 * Counts this thread's page faults that read nothing from a disk (proc(5), field minflt). An allocation between the
 * two looks would fault, too, so both looks fill buffers that exist already. They are decoded afterwards.
 */
export class PageFaults implements Disposable {
  readonly #file = openSync(systemPaths.proc("thread-self", "stat"), "r");
  readonly #before = Buffer.alloc(1024);
  readonly #after = Buffer.alloc(1024);

  during(action: () => void): number {
    readSync(this.#file, this.#before, 0, this.#before.length, 0);
    action();
    readSync(this.#file, this.#after, 0, this.#after.length, 0);
    return minorFaults(this.#after) - minorFaults(this.#before);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

function minorFaults(stat: Buffer): number {
  const text = stat.toString("latin1");
  // The program's name, in parentheses, may hold spaces; then follow the fields from the third on.
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[7]);
}
