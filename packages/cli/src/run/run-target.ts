import { Iommu, type IommuMode, PciDevice, USER_MODE_NAME, VfioError } from "@vfio-selftests/core";
import { codeOwner } from "@vfio-selftests/core/driver";
import { argumentError, asCalled } from "@vfio-selftests/core/errors";
import {
  BindingStore,
  existsPath,
  isVfioDriver,
  linkName,
  noiommuGroupPath,
  requireVfioDriver,
  type SystemPaths,
  systemPaths,
} from "@vfio-selftests/core/sysfs";
import { defaultMode, type TargetOptions } from "@vfio-selftests/harness";
import { findMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { projectModels } from "../model/project-models";
import { devicesNamed } from "../target/named-devices";
import { missingToolkitDrivers } from "../target/toolkit-drivers";
import type { SuiteEntry } from "./jest-process";

/** What a run tests, checked as far as possible before the first test. */
export interface RunTarget {
  readonly entry: SuiteEntry;
  /** Addresses in the kernel's spelling, for the test file. An empty list means all models. */
  readonly options: TargetOptions;
  readonly headline: readonly string[];
  /** The mode of tests whose ids do not name one. */
  readonly defaultMode: string;
}

const NOT_A_PCI_ADDRESS = /^(?:vfio-user|model):/;

/** Checks the devices and modes that are named. Throws an error with a remedy when the run cannot use them. */
export async function chooseTarget(named: TargetOptions, paths: SystemPaths = systemPaths): Promise<RunTarget> {
  const software = named.devices.filter((address) => NOT_A_PCI_ADDRESS.test(address));
  if (software.length === named.devices.length) return modelsTarget(named, paths);
  if (software.length > 0) {
    throw argumentError("run", "device", named.devices.join(" "), "PCI addresses only, or models and sockets only");
  }
  return kernelTarget(named, paths);
}

async function modelsTarget(named: TargetOptions, paths: SystemPaths): Promise<RunTarget> {
  const own = named.devices.length > 0 ? [] : ownModels(named);
  const devices = [...new Set([...named.devices, ...own])];
  const [other] = named.modes.filter((mode) => mode !== USER_MODE_NAME);
  if (other !== undefined) {
    // Throws first for a name that is no mode's.
    findMode(other);
    throw new VfioError(`mode ${other} needs a device of the kernel, and ${describe(devices)} is none`, {
      code: "ERR_INVALID_ARGUMENT",
      operation: "run",
      remedy: "name one with -d 0000:6a:01.0, or run in a VM: vfio-selftests lab run",
    });
  }
  if (named.kvmIrq !== undefined) {
    throw new VfioError(`--kvm-irq needs a device of the kernel, and ${describe(devices)} is none`, {
      code: "ERR_INVALID_ARGUMENT",
      operation: "run",
      remedy: "name one with -d 0000:6a:01.0, run in a VM: vfio-selftests lab run, or unset VFIO_SELFTESTS_KVM_IRQ",
    });
  }
  if (devices.length > 0) {
    // Loaded only here: a run on the kernel's devices does not need it.
    const { connectNamedModel } = await import("../model/start-named-model.js");
    const { VfioUserMode } = await import("@vfio-selftests/vfio-user");
    openOnce(devices, [new VfioUserMode({ connectModel: (name) => connectNamedModel(name) })]);
  }
  return {
    entry: "models",
    options: { ...named, devices, modes: [] },
    defaultMode: USER_MODE_NAME,
    headline: [
      `Device models in user space (${describe(devices)}): drivers and suites are tested, the kernel's VFIO and IOMMU are not.`,
      asCalled(
        "For the kernel: vfio-selftests lab run; for hardware: vfio-selftests run -d ADDRESS (vfio-selftests list shows them).",
      ),
      ...(named.drivers.length === 0 && own.length === 0 ? withoutDrivers() : []),
      ...(named.devices.length === 0 ? boundButNotNamed(paths) : []),
    ],
  };
}

/** The models of the project's driver packages. A line on standard error tells of those that root does not load. */
function ownModels({ lab, confined }: TargetOptions): string[] {
  const { names, refused } = projectModels(process.cwd(), { ...codeOwner(), confined: lab && confined });
  for (const line of refused) process.stderr.write(`${line}\n`);
  return names.map((name) => `model:${name}`);
}

function describe(devices: readonly string[]): string {
  return devices.length === 0 ? "ioat, dsa, nv-falcon" : devices.join(", ");
}

/** A hint for users who have installed the command alone: without a driver, a model's copies cannot be tested. */
function withoutDrivers(): string[] {
  const missing = missingToolkitDrivers();
  if (missing.length === 0) return [];
  return [`Not installed, so tests that need them skip: npm install --save-dev ${missing.join(" ")}`];
}

/** A hint for users who have bound a device and may believe that a run without `-d` tests it. */
function boundButNotNamed(paths: SystemPaths): string[] {
  const bound = new BindingStore(paths).addresses();
  const ready = bound.filter((address) => isVfioDriver(linkName(paths.pciDevice(address, "driver")))).sort();
  if (ready.length === 0) return [];
  const command = ["vfio-selftests run", ...ready.map((address) => `-d ${address}`)].join(" ");
  return [`Bound to vfio-pci, but not tested by this run: ${ready.join(", ")}. For that: ${asCalled(command)}`];
}

function kernelTarget(named: TargetOptions, paths: SystemPaths): RunTarget {
  const devices = devicesNamed(named.devices, paths);
  for (const device of devices) requireVfioDriver(device, "run", paths);
  // `auto` may stand for a mode that is also named.
  const modes =
    named.modes.length === 0 ? iommuModes : [...new Set(named.modes.map((name) => findMode(name).resolve()))];
  requireAvailable(modes, named.modes.length > 0);
  openOnce(devices, modes);
  const names = modes.map(({ name }) => name);
  return {
    entry: "kernel",
    options: { ...named, devices, modes: names },
    defaultMode: defaultMode({ modes }).name,
    headline: [
      `Devices ${devices.join(", ")} on the kernel${named.lab ? " of the lab's VM" : ""}, modes ${names.join(", ")}.`,
    ],
  };
}

/** A named mode must be available. Without named modes one is enough: the tests of the others skip and say why. */
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

/**
 * Opens each device once. A busy device, a group that is not viable or a server that is gone would fail every test
 * alike.
 */
function openOnce(devices: readonly string[], modes: readonly IommuMode[]): void {
  const mode = modes.findLast((candidate) => candidate.availability().available);
  if (mode === undefined) return;
  for (const address of devices) {
    if (isWithoutIommu(address)) continue;
    using iommu = new Iommu(mode.open());
    using _device = PciDevice.open(iommu, address);
  }
}

/**
 * VFIO offers a device without an IOMMU through a group file of another name. No mode opens it, only the tests of that
 * do.
 */
function isWithoutIommu(address: string): boolean {
  const path = noiommuGroupPath(address);
  return path !== undefined && existsPath(path);
}
