import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { LentDevices } from "../binding/lent-devices";
import { restoreFirst } from "../restore/restore-first";
import { devicesNamed } from "../target/named-devices";
import { runChild } from "./run-child";

export interface ExecOptions {
  readonly device: readonly string[];
}

/** The `exec` command: lends the devices to vfio-pci, and runs a program that finds them in its environment. */
export async function execute(
  command: readonly string[],
  { device }: ExecOptions,
  paths: SystemPaths = systemPaths,
): Promise<number> {
  restoreFirst();
  using devices = new LentDevices(devicesNamed(device, paths), paths);
  return await runOn(devices, command);
}

/** The `shell` command: the same with the user's shell, and a word on where one is. */
export async function openShell({ device }: ExecOptions, paths: SystemPaths = systemPaths): Promise<number> {
  restoreFirst();
  using devices = new LentDevices(devicesNamed(device, paths), paths);
  for (const line of devices.lines) process.stderr.write(`${line}\n`);
  process.stderr.write(
    "This shell has the addresses in VFIO_SELFTESTS_BDF. `exit` leaves it, and gives the devices back.\n",
  );
  return await runOn(devices, [process.env["SHELL"] ?? "/bin/sh"]);
}

function runOn({ addresses }: LentDevices, command: readonly string[]): Promise<number> {
  return runChild(command, { VFIO_SELFTESTS_BDF: addresses.join(" ") });
}
