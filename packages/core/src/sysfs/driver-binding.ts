import type { OwnErrorCode } from "../errors/error-codes";
import { VfioError } from "../errors/vfio-error";
import { deviceUses } from "./device-use/device-uses";
import { isBridge, pciDevice, type PciDeviceEntry } from "./pci-devices";
import { setSriovNumVfs, sriovVfAddress } from "./sriov";
import { existsPath, linkName, type SystemPaths, systemPaths } from "./system-paths";
import { isVfioDriver } from "./vfio-driver";
import { describeVfioUsers } from "./vfio-users";

/** The state of a device before it was bound, which {@link restoreBinding} puts back. */
export interface BindingState {
  /** PCI address, `0000:6a:01.0`. */
  readonly address: string;
  /** Absent if it had none. */
  readonly driver?: string;
  /** Content of `driver_override`. Absent if it was not set. */
  readonly driverOverride?: string;
  /** How many VFs were enabled. Absent on a device without SR-IOV. */
  readonly numVfs?: number;
}

/** How to give a device to a driver. */
export interface BindOptions {
  /** Default `vfio-pci`. */
  readonly driver?: string;
  /** Take the device even if the machine uses it (mounted disk, default route, display). Default false. */
  readonly force?: boolean;
  /** Where sysfs is. Default: the machine's. */
  readonly paths?: SystemPaths;
}

/** The present state of a device. Keep it before binding the device elsewhere. */
export function bindingState(address: string, paths: SystemPaths = systemPaths): BindingState {
  return stateOf(pciDevice(address, paths));
}

/**
 * Binds a device to vfio-pci by driver_override, after switching its VFs off. Returns its former state. If a step
 * fails, it puts the device back. It does nothing to a device that is bound already.
 *
 * Errors: `ENODEV` (no such device), `ERR_BRIDGE`, `ERR_IN_USE` (unless forced), `ERR_NO_DRIVER`, `ERR_BIND`, `EACCES`.
 */
export function bindDriver(address: string, options: BindOptions = {}): BindingState {
  const { driver = "vfio-pci", force = false, paths = systemPaths } = options;
  const device = pciDevice(address, paths);
  const before = stateOf(device);
  if (device.driver === driver) return before;

  if (isBridge(device)) {
    throw failure(
      "ERR_BRIDGE",
      device.address,
      "is a bridge, which no user-space driver can have",
      "bind the devices behind it; a bridge may keep its driver",
    );
  }
  if (!existsPath(paths.sys("bus", "pci", "drivers", driver))) {
    throw failure(
      "ERR_NO_DRIVER",
      device.address,
      `cannot be bound: the driver ${driver} is not loaded`,
      `sudo modprobe ${driver} (kernel option CONFIG_VFIO_PCI)`,
    );
  }
  if (!force) requireUnused(device, paths);
  requireUnheld(device, paths);

  try {
    if ((before.numVfs ?? 0) > 0) setSriovNumVfs(device.address, 0, paths);
    paths.write(paths.pciDevice(device.address, "driver_override"), driver);
    unbind(device.address, paths);
    paths.write(paths.sys("bus", "pci", "drivers_probe"), device.address);
    requireDriver(device.address, driver, paths);
  } catch (error) {
    tryRestore(before, paths);
    throw error;
  }
  return before;
}

/**
 * Puts a device back into an earlier state: driver, driver_override and VFs. Errors: `ERR_IN_USE` while a process holds
 * the device (the kernel blocks until it lets go; `force` waits for that), `ERR_BIND` if the driver does not take it.
 */
export function restoreBinding(state: BindingState, options: Pick<BindOptions, "force" | "paths"> = {}): void {
  const { force = false, paths = systemPaths } = options;
  const device = pciDevice(state.address, paths);
  const { address } = device;
  if (device.driver !== state.driver) {
    if (!force) requireUnheld(device, paths);
    if ((device.sriov?.enabled ?? 0) > 0) setSriovNumVfs(address, 0, paths);
    unbind(address, paths);
  }
  // A new line clears the override.
  paths.write(paths.pciDevice(address, "driver_override"), state.driverOverride ?? "\n");
  if (state.driver !== undefined && device.driver !== state.driver) {
    paths.write(paths.sys("bus", "pci", "drivers", state.driver, "bind"), address);
    requireDriver(address, state.driver, paths);
  }
  const { numVfs = 0 } = state;
  if (numVfs > 0 && (pciDevice(address, paths).sriov?.enabled ?? 0) === 0) setSriovNumVfs(address, numVfs, paths);
}

function stateOf({ address, driver, driverOverride, sriov }: PciDeviceEntry): BindingState {
  return {
    address,
    ...(driver === undefined ? {} : { driver }),
    ...(driverOverride === undefined ? {} : { driverOverride }),
    ...(sriov === undefined ? {} : { numVfs: sriov.enabled }),
  };
}

function functionsOf(device: PciDeviceEntry, paths: SystemPaths): PciDeviceEntry[] {
  const vfs = Array.from({ length: device.sriov?.enabled ?? 0 }, (_, index) =>
    sriovVfAddress(device.address, index, paths),
  );
  return [device, ...vfs.flatMap((address) => (address === undefined ? [] : [pciDevice(address, paths)]))];
}

/** VFs go with their physical function, so their uses count, too. */
function requireUnused(device: PciDeviceEntry, paths: SystemPaths): void {
  for (const { address } of functionsOf(device, paths)) {
    const uses = deviceUses(address, paths);
    if (uses.length === 0) continue;
    throw failure(
      "ERR_IN_USE",
      address,
      `is in use by this machine: ${uses.join("; ")}`,
      "choose another device; vfio-selftests bind --force takes it all the same",
    );
  }
}

/** Unbinding a VFIO driver waits in the kernel, for ever, until every process has closed the device. */
function requireUnheld(device: PciDeviceEntry, paths: SystemPaths): void {
  for (const { address, driver } of functionsOf(device, paths)) {
    if (!isVfioDriver(driver)) continue;
    const users = describeVfioUsers([address], paths);
    if (users === undefined) continue;
    throw failure(
      "ERR_IN_USE",
      address,
      `is open: ${users}`,
      "end that process first; the kernel waits for it, as unbinding with --force does",
    );
  }
}

function unbind(address: string, paths: SystemPaths): void {
  const driver = linkName(paths.pciDevice(address, "driver"));
  if (driver !== undefined) paths.write(paths.sys("bus", "pci", "drivers", driver, "unbind"), address);
}

function requireDriver(address: string, driver: string, paths: SystemPaths): void {
  const bound = linkName(paths.pciDevice(address, "driver"));
  if (bound === driver) return;
  throw failure(
    "ERR_BIND",
    address,
    `was not taken by ${driver}${bound === undefined ? "" : ` but by ${bound}`}`,
    "see the kernel log (dmesg) for the driver's reason",
  );
}

function tryRestore(state: BindingState, paths: SystemPaths): void {
  try {
    restoreBinding(state, { paths });
  } catch {
    // The first error tells what went wrong, so report that one.
  }
}

function failure(code: OwnErrorCode, address: string, what: string, remedy: string): VfioError {
  return new VfioError(`${address} ${what}`, { code, operation: "bind driver", subject: address, remedy });
}
