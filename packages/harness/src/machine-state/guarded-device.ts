import { linkName, readAttribute, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { NO_OVERRIDE } from "./guarded-driver";
import { MachineChanges } from "./machine-changes";

/**
 * A PCI function that a test removes from the kernel (`/sys/bus/pci/devices/ADDRESS/remove`). It comes back with its
 * driver and its `driver_override` at disposal, and also when the process is killed first. All users must have closed it
 * by then, because the kernel makes one removal or search for devices at a time.
 */
export class GuardedDevice implements Disposable {
  /** PCI address, `0000:6a:01.0`. */
  readonly address: string;
  readonly #restore: () => void;

  /** Records the state. Nothing changes yet. */
  constructor(address: string, paths: SystemPaths = systemPaths) {
    this.address = address;
    const override = readAttribute(paths.pciDevice(address, "driver_override"))?.trim() ?? "";
    const driver = linkName(paths.pciDevice(address, "driver"));
    const directory = driver === undefined ? undefined : paths.sys("bus", "pci", "drivers", driver);
    const bound = directory === undefined ? {} : { unless: `${directory}/${address}` };
    this.#restore = MachineChanges.on(paths).record([
      // The search waits for a removal under way, and finds nothing new where the device is there.
      { path: paths.sys("bus", "pci", "rescan"), value: "1" },
      { path: paths.pciDevice(address, "driver_override"), value: override === NO_OVERRIDE ? "" : override, ...bound },
      ...(directory === undefined ? [] : [{ path: `${directory}/bind`, value: address, ...bound }]),
    ]);
  }

  /** Finds the device again, and lets its driver take it. Idempotent. */
  [Symbol.dispose](): void {
    this.#restore();
  }
}
