import { DEFAULT_MODE, Iommu, PciDevice, USER_MODE_NAME, VfioError, type IommuMode } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import { existsPath, noiommuGroupPath, requirePciDevice, requireVfioDriver } from "@vfio-selftests/core/sysfs";
import { findMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { TARGET_VARIABLES, targetList } from "@vfio-selftests/suites/runner";
import type { RunOptions } from "./run-options";

/** What a run is about, checked as far as can be before the first test. */
export interface RunTarget {
  readonly entry: "kernel" | "models";
  /** Addresses in the kernel's spelling; for models possibly empty: all. */
  readonly devices: readonly string[];
  readonly modes: readonly string[];
  readonly headline: readonly string[];
  /** The mode of tests whose id names none. */
  readonly defaultMode: string;
}

const NOT_A_PCI_ADDRESS = /^(?:vfio-user|model):/;

/** Which devices and modes the options and the environment name. Throws what stands in the way, with the remedy. */
export async function chooseTarget(options: RunOptions): Promise<RunTarget> {
  const named = options.device ?? targetList(process.env, "devices");
  const software = named.filter((address) => NOT_A_PCI_ADDRESS.test(address));
  if (software.length === named.length) return modelsTarget(named, options);
  if (software.length > 0) {
    throw argumentError("run", "device", named.join(" "), "PCI addresses only, or models and sockets only");
  }
  return kernelTarget(named, options);
}

async function modelsTarget(devices: readonly string[], options: RunOptions): Promise<RunTarget> {
  const [other] = modesOf(options).filter((mode) => mode !== USER_MODE_NAME);
  if (other !== undefined) {
    // A name that is none is told so first.
    findMode(other);
    throw new VfioError(`mode ${other} needs a device of the kernel, and ${describe(devices)} is none`, {
      code: "ERR_INVALID_ARGUMENT",
      operation: "run",
      remedy: "name one with -d 0000:6a:01.0, or run in a VM: vfio-selftests lab run",
    });
  }
  if (devices.length > 0) {
    // Not needed, and not loaded, on the way to the kernel.
    const { connectModel } = await import("@vfio-selftests/device-models");
    const { VfioUserMode } = await import("@vfio-selftests/vfio-user");
    openOnce(devices, [new VfioUserMode({ connectModel })]);
  }
  return {
    entry: "models",
    devices,
    modes: [],
    defaultMode: USER_MODE_NAME,
    headline: [
      `Device models in user space (${describe(devices)}): drivers and suites are tested, the kernel's VFIO and IOMMU are not.`,
      "For the kernel: vfio-selftests lab run; for hardware: vfio-selftests run -d ADDRESS (vfio-selftests list shows them).",
    ],
  };
}

function describe(devices: readonly string[]): string {
  return devices.length === 0 ? "ioat, dsa" : devices.join(", ");
}

function kernelTarget(named: readonly string[], options: RunOptions): RunTarget {
  const devices = [...new Set(named.map((address) => requirePciDevice(address)))];
  for (const device of devices) requireVfioDriver(device, "run");
  const names = modesOf(options);
  const modes = names.length === 0 ? iommuModes : names.map((name) => findMode(name).resolve());
  requireAvailable(modes, names.length > 0);
  openOnce(devices, modes);
  const inLab = process.env[TARGET_VARIABLES.lab] !== undefined;
  return {
    entry: "kernel",
    devices,
    modes: modes.map(({ name }) => name),
    defaultMode: (modes.find(({ name }) => name === DEFAULT_MODE) ?? modes[0])?.name ?? DEFAULT_MODE,
    headline: [
      `Devices ${devices.join(", ")} on the kernel${inLab ? " of the lab's VM" : ""}, modes ${modes.map(({ name }) => name).join(", ")}.`,
    ],
  };
}

function modesOf(options: RunOptions): readonly string[] {
  return options.mode ?? targetList(process.env, "modes");
}

/** A mode that was asked for by name must be there; of the default, all modes, one. The others' tests say why they skip. */
function requireAvailable(modes: readonly IommuMode[], byName: boolean): void {
  const missing = modes.flatMap((mode) => {
    const availability = mode.availability();
    return availability.available ? [] : [{ name: mode.name, ...availability }];
  });
  const [first] = missing;
  if (first === undefined || (!byName && missing.length < modes.length)) return;
  throw new VfioError(
    byName
      ? `mode ${first.name} is not available: ${first.reason}`
      : `no IOMMU mode is available: ${missing.map(({ name, reason }) => `${name}: ${reason}`).join("; ")}`,
    { code: "ERR_NO_MODE", operation: "run", subject: first.name, remedy: first.remedy },
  );
}

/** Opens each device once: a device in use, a group that is not viable or a server that is gone would fail every test alike. */
function openOnce(devices: readonly string[], modes: readonly IommuMode[]): void {
  const mode = modes.findLast((candidate) => candidate.availability().available);
  if (mode === undefined) return;
  for (const address of devices) {
    if (isWithoutIommu(address)) continue;
    using iommu = new Iommu(mode.open());
    using _device = PciDevice.open(iommu, address);
  }
}

/** VFIO gives out a device without an IOMMU by a group file of another name; no mode opens it, but tests of that do. */
function isWithoutIommu(address: string): boolean {
  const path = noiommuGroupPath(address);
  return path !== undefined && existsPath(path);
}
