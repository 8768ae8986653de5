import { readFileSync, writeFileSync } from "node:fs";
import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { MachineChanges } from "./machine-changes";

/**
 * A value in a file of the machine (`sriov_numvfs`, `nr_hugepages`, `smp_affinity_list`, a module's parameter). It goes
 * back to what it was at disposal, and also when the process is killed first.
 */
export class GuardedValue implements Disposable {
  /** The file's path. */
  readonly path: string;
  /** The value that was there and will be there again. */
  readonly original: string;
  readonly #restore: () => void;

  /** Reads the value. Nothing changes yet. `paths` says where the journal is. */
  constructor(path: string, paths: SystemPaths = systemPaths) {
    this.path = path;
    this.original = readFileSync(path, "utf8").trim();
    this.#restore = MachineChanges.on(paths).record([{ path, value: this.original }]);
  }

  /** Writes the value. Throws VfioError with the kernel's errno. */
  set(value: string | number): void {
    writeFileSync(this.path, String(value));
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}
