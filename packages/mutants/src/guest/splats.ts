import { KernelLog } from "@vfio-selftests/harness";

/** The first lines of the kernel's reports about a fault of its own. */
const SPLAT =
  /^(?:WARNING: |BUG: |Oops: |general protection fault|KASAN: |UBSAN: |kernel BUG at |Kernel panic|refcount_t: |list_(?:add|del) corruption|INFO: task .* blocked|watchdog: |unreferenced object|rcu: INFO)/;

/** Reads such reports from the kernel's log. */
export class SplatLog implements Disposable {
  readonly #log = new KernelLog();

  /** The first line of each report since the last call. */
  take(): string[] {
    return this.#log.newLines().filter((line) => SPLAT.test(line));
  }

  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }
}
