import {
  bindDriver,
  bindingState,
  BindingStore,
  isVfioDriver,
  linkName,
  restoreBinding,
  type SystemPaths,
  systemPaths,
} from "@vfio-selftests/core/sysfs";
import { ExitCode } from "../exit-codes";
import { reportError } from "../report-error";
import { addressesNamed } from "../target/named-devices";
import { loadVfioPci } from "./load-vfio-pci";

export interface BindOptions {
  readonly force?: boolean;
}

/** The machine that the commands work on; a test replaces it. */
export interface BindingMachine {
  readonly paths: SystemPaths;
  readonly print: (line: string) => void;
  readonly printError: (text: string) => void;
}

const thisMachine: BindingMachine = {
  paths: systemPaths,
  print: (line) => console.log(line),
  printError: (text) => process.stderr.write(text),
};

/** `bind`: gives devices to vfio-pci. A device that fails does not stop the others. */
export function bindDevices(addresses: readonly string[], options: BindOptions = {}, machine = thisMachine): number {
  return forEachDevice(addresses, machine, (address) => bind(address, options, machine.paths));
}

/** `unbind`: gives devices back; without addresses, all that `bind` took. */
export function unbindDevices(addresses: readonly string[], options: BindOptions = {}, machine = thisMachine): number {
  const all = addresses.length > 0 ? addresses : new BindingStore(machine.paths).addresses();
  if (all.length === 0) machine.print("no device was bound by vfio-selftests");
  return forEachDevice(all, machine, (address) => unbind(address, options, machine.paths));
}

function forEachDevice(
  names: readonly string[],
  { paths, print, printError }: BindingMachine,
  act: (address: string) => string,
): number {
  let code: number = ExitCode.ok;
  const attempt = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      code = Math.max(code, reportError(error, printError));
      return undefined;
    }
  };
  const addresses = names.flatMap((name) => attempt(() => addressesNamed(name, paths)) ?? []);
  for (const address of new Set(addresses)) attempt(() => print(act(address)));
  return code;
}

/**
 * Idempotent; returns a line for people. It stores the state before it touches the device: the process may be killed.
 */
function bind(address: string, { force = false }: BindOptions, paths: SystemPaths): string {
  const before = bindingState(address, paths);
  if (isVfioDriver(before.driver)) return `${address} is bound to ${before.driver ?? ""} already`;
  loadVfioPci(paths);
  const store = new BindingStore(paths);
  const known = store.load(address) !== undefined;
  store.save(before);
  try {
    bindDriver(address, { force, paths });
  } catch (error) {
    if (!known) store.forget(address);
    throw error;
  }
  return `${address} is bound to vfio-pci${before.driver === undefined ? "" : ` (was ${before.driver})`}`;
}

function unbind(address: string, { force = false }: BindOptions, paths: SystemPaths): string {
  const store = new BindingStore(paths);
  const before = store.load(address);
  const { driver } = bindingState(address, paths);
  if (before === undefined && !isVfioDriver(driver)) {
    return `${address} is not bound to vfio-pci (driver: ${driver ?? "none"})`;
  }
  restoreBinding(before ?? { address }, { force, paths });
  // Somebody else bound it to vfio-pci; the kernel knows its own driver.
  if (before === undefined) paths.write(paths.sys("bus", "pci", "drivers_probe"), address);
  store.forget(address);
  return `${address} is back (driver: ${linkName(paths.pciDevice(address, "driver")) ?? "none"})`;
}
