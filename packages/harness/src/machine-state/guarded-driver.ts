import { existsSync, writeFileSync } from "node:fs";
import { linkName, readAttribute, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { MachineChanges } from "./machine-changes";

/** What the kernel shows for an override that is not set. */
export const NO_OVERRIDE = "(null)";

/**
 * The driver of a PCI function and its `driver_override`. Both go back to what they were at disposal, and also when the
 * process is killed first (Documentation/ABI/testing/sysfs-bus-pci).
 */
export class GuardedDriver implements Disposable {
  /** PCI address, `0000:6a:01.0`. */
  readonly address: string;
  /** The driver that the function had and will have again; undefined when it had none. */
  readonly original: string | undefined;
  readonly #paths: SystemPaths;
  readonly #override: string;
  readonly #restore: () => void;

  /** Records the state. Nothing changes yet. */
  constructor(address: string, paths: SystemPaths = systemPaths) {
    this.address = address;
    this.#paths = paths;
    this.#override = paths.pciDevice(address, "driver_override");
    this.original = this.current;
    const override = readAttribute(this.#override)?.trim() ?? "";
    const driver = this.original === undefined ? undefined : paths.sys("bus", "pci", "drivers", this.original);
    const bound = driver === undefined ? {} : { unless: `${driver}/${address}` };
    this.#restore = MachineChanges.on(paths).record([
      { path: paths.pciDevice(address, "driver", "unbind"), value: address, ...bound },
      { path: this.#override, value: override === NO_OVERRIDE ? "" : override },
      ...(driver === undefined ? [] : [{ path: `${driver}/bind`, value: address, ...bound }]),
    ]);
  }

  /** The driver that the function has now; undefined when it has none. */
  get current(): string | undefined {
    return linkName(this.#paths.pciDevice(this.address, "driver"));
  }

  /** Blocks until the driver has let go. vfio-pci lets go when all users of the device have closed it. */
  unbind(): void {
    const unbind = this.#paths.pciDevice(this.address, "driver", "unbind");
    if (existsSync(unbind)) writeFileSync(unbind, this.address);
  }

  /** Unbinds the function, and lets this driver take it. */
  bind(driver: string): void {
    this.unbind();
    writeFileSync(this.#override, `${driver}\n`);
    writeFileSync(this.#paths.sys("bus", "pci", "drivers_probe"), this.address);
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}
