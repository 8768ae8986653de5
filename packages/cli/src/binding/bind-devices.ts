import { writeFileSync } from "node:fs";
import {
  VfioError,
  isVfioDriver,
  normalizePciAddress,
  pciDevice,
  systemPaths,
  type PciDeviceEntry,
  type SystemPaths,
} from "@vfio-selftests/core";
import { ExitCode } from "../exit-codes";
import { reportError } from "../report-error";
import { isBridge, useByHost, useByVfio } from "./device-use";
import { DriverBinding, requireVfioPci, type WriteFile } from "./driver-binding";
import { SavedBindings, type SavedBinding } from "./saved-state";

export interface BindOptions {
  readonly force?: boolean;
}

/** What the commands stand on; a test replaces it. */
export interface BindingMachine {
  readonly paths: SystemPaths;
  readonly saved: SavedBindings;
  readonly writeFile: WriteFile;
  readonly print: (line: string) => void;
  readonly printError: (text: string) => void;
}

function thisMachine(): BindingMachine {
  return {
    paths: systemPaths,
    saved: new SavedBindings(),
    writeFile: writeFileSync,
    print: (line) => console.log(line),
    printError: (text) => process.stderr.write(text),
  };
}

/** `bind`: gives devices to vfio-pci. One that fails does not keep the others from it. */
export async function bindDevices(
  addresses: readonly string[],
  options: BindOptions = {},
  machine = thisMachine(),
): Promise<number> {
  return forEachDevice(addresses, machine, (address) => bind(address, options, machine));
}

/** `unbind`: gives devices back; without addresses every one that `bind` took. */
export async function unbindDevices(
  addresses: readonly string[],
  options: BindOptions = {},
  machine = thisMachine(),
): Promise<number> {
  const all = addresses.length > 0 ? addresses : machine.saved.addresses();
  if (all.length === 0) machine.print("no device was bound by vfio-selftests");
  return forEachDevice(all, machine, (address) => unbind(address, options, machine));
}

function forEachDevice(
  addresses: readonly string[],
  machine: BindingMachine,
  act: (address: string) => string,
): Promise<number> {
  let code: number = ExitCode.ok;
  for (const address of addresses) {
    try {
      machine.print(act(normalizePciAddress(address)));
    } catch (error) {
      code = Math.max(code, reportError(error, machine.printError));
    }
  }
  return Promise.resolve(code);
}

/** Idempotent; gives a line for people. What it changes it puts back when a later step fails. */
function bind(address: string, { force = false }: BindOptions, machine: BindingMachine): string {
  const { paths, saved } = machine;
  const device = pciDevice(address, paths);
  if (isVfioDriver(device.driver)) return `${address} is bound to ${device.driver ?? ""} already`;
  refuseBridge(device);
  const use = useByHost(device, paths);
  if (use !== undefined && !force) {
    throw new VfioError(`${address} is in use: ${use}`, {
      code: "EBUSY",
      operation: "bind",
      subject: address,
      remedy: "stop its use, or bind all the same with --force",
    });
  }
  requireVfioPci(paths);
  const before: SavedBinding = {
    address,
    ...(device.driver === undefined ? {} : { driver: device.driver }),
    ...(device.driverOverride === undefined ? {} : { driverOverride: device.driverOverride }),
    ...(device.sriov === undefined ? {} : { numVfs: device.sriov.enabled }),
  };
  saved.save(before);
  const binding = new DriverBinding(address, paths, machine.writeFile);
  try {
    // The driver that enabled virtual functions must take them back before it lets go.
    if (before.numVfs !== undefined && before.numVfs > 0) binding.setNumVfs(0);
    binding.override("vfio-pci");
    binding.unbind();
    binding.probe();
    if (binding.driver !== "vfio-pci") throw refused(address, binding.driver);
  } catch (error) {
    restore(before, binding);
    saved.remove(address);
    throw error;
  }
  return `${address} is bound to vfio-pci${before.driver === undefined ? "" : ` (was ${before.driver})`}`;
}

function unbind(address: string, { force = false }: BindOptions, machine: BindingMachine): string {
  const { paths, saved } = machine;
  const device = pciDevice(address, paths);
  const before = saved.get(address);
  if (before === undefined && !isVfioDriver(device.driver)) {
    return `${address} is not bound to vfio-pci (driver: ${device.driver ?? "none"})`;
  }
  const use = useByVfio(address, paths);
  if (use !== undefined && !force) {
    throw new VfioError(`${address} is in use: ${use}`, {
      code: "EBUSY",
      operation: "unbind",
      subject: address,
      remedy: "end that process, or unbind with --force, which waits for it",
    });
  }
  const binding = new DriverBinding(address, paths, machine.writeFile);
  restore(before ?? { address }, binding);
  // Bound to vfio-pci by somebody else: the kernel knows whose it is.
  if (before === undefined) binding.probe();
  saved.remove(address);
  return `${address} is back (driver: ${binding.driver ?? "none"})`;
}

/** The order is upstream's (cleanup.sh): vfio-pci lets go, the override is lifted, the old driver and its VFs return. */
function restore(before: SavedBinding, binding: DriverBinding): void {
  if (isVfioDriver(binding.driver)) binding.unbind();
  binding.override(before.driverOverride ?? "");
  if (before.driver !== undefined && binding.driver === undefined) binding.bindTo(before.driver);
  if (before.numVfs !== undefined && before.numVfs > 0) binding.setNumVfs(before.numVfs);
}

function refuseBridge(device: PciDeviceEntry): void {
  if (!isBridge(device)) return;
  throw new VfioError(`${device.address} is a bridge, which vfio-pci does not take`, {
    code: "ENOTSUP",
    operation: "bind",
    subject: device.address,
    remedy: "bind the devices behind it",
  });
}

function refused(address: string, driver: string | undefined): VfioError {
  return new VfioError(`vfio-pci did not take ${address} (driver now: ${driver ?? "none"})`, {
    code: "ENODEV",
    operation: "bind",
    subject: address,
    remedy: "see why in the kernel's log (dmesg); the device must be behind an IOMMU (/sys/kernel/iommu_groups)",
  });
}
