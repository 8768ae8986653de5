import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BindingState } from "./driver-binding";
import { listDirectory, readAttribute, systemPaths, type SystemPaths } from "./system-paths";

/**
 * Remembers, across processes, what devices were before they were bound: one JSON file per device in
 * `/run/vfio-selftests/bindings`, which like the bindings themselves is gone after a reboot.
 */
export class BindingStore {
  readonly #directory: string;

  constructor(paths: SystemPaths = systemPaths) {
    this.#directory = join(paths.root, "run", "vfio-selftests", "bindings");
  }

  /** Addresses of the devices that have a state stored. */
  addresses(): string[] {
    return listDirectory(this.#directory).flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -5)] : []));
  }

  /** Keeps the state, unless an earlier one is kept already: that is the one to go back to. */
  save(state: BindingState): void {
    if (this.load(state.address) !== undefined) return;
    mkdirSync(this.#directory, { recursive: true });
    const { address, driver = null, driverOverride = null, sriovNumVfs } = state;
    writeFileSync(this.#file(address), `${JSON.stringify({ address, driver, driverOverride, sriovNumVfs })}\n`);
  }

  /** Undefined when none is stored, or what is stored cannot be read. */
  load(address: string): BindingState | undefined {
    const text = readAttribute(this.#file(address));
    if (text === undefined) return undefined;
    try {
      const stored: unknown = JSON.parse(text);
      if (typeof stored !== "object" || stored === null) return undefined;
      const { driver, driverOverride, sriovNumVfs } = stored as Record<string, unknown>;
      return {
        address,
        driver: typeof driver === "string" ? driver : undefined,
        driverOverride: typeof driverOverride === "string" ? driverOverride : undefined,
        sriovNumVfs: typeof sriovNumVfs === "number" ? sriovNumVfs : 0,
      };
    } catch {
      return undefined;
    }
  }

  forget(address: string): void {
    rmSync(this.#file(address), { force: true });
  }

  #file(address: string): string {
    return join(this.#directory, `${address}.json`);
  }
}
