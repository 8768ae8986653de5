import { DriverRegistry, discoverDrivers, loadDriver, normalizePciAddress } from "@vfio-selftests/core";
import { findMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { BUILT_IN_DRIVERS } from "./built-in-drivers";
import type { SuiteTarget } from "./suite-target";

/** How a process tells its jest run what to test; lists are separated by spaces or commas. */
export const TARGET_VARIABLES = {
  /** Addresses: `0000:6a:01.0`, `vfio-user:PATH`, `model:NAME`. */
  devices: "VFIO_SELFTESTS_BDF",
  /** Names of modes; default: all. */
  modes: "VFIO_SELFTESTS_MODE",
  /** Packages or paths of drivers, which then are the only ones. */
  drivers: "VFIO_SELFTESTS_DRIVER",
  /** `lab` inside the lab's VM. */
  target: "VFIO_SELFTESTS_TARGET",
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

/** The target that the environment names; without devices one whose tests all skip and say how to get one. */
export function targetFromEnvironment(environment: Environment = process.env, directory = process.cwd()): SuiteTarget {
  const list = (name: keyof typeof TARGET_VARIABLES) => splitList(environment[TARGET_VARIABLES[name]]);
  const modes = list("modes");
  return {
    kind: environment[TARGET_VARIABLES.target] === "lab" ? "lab" : "hardware",
    modes: modes.length === 0 ? iommuModes : modes.map(findMode),
    devices: list("devices").map(normalizePciAddress),
    drivers: driverRegistry(list("drivers"), directory),
  };
}

/** The built-in drivers and the project's; or, where some are named, only those. */
export function driverRegistry(names: readonly string[], directory: string): DriverRegistry {
  const registry = new DriverRegistry();
  if (names.length === 0) {
    for (const driver of BUILT_IN_DRIVERS) registry.register(driver);
    for (const { driver, origin } of discoverDrivers(directory)) registry.register(driver, origin);
  }
  for (const name of names) {
    const builtIn = BUILT_IN_DRIVERS.find((driver) => driver.name === name);
    if (builtIn !== undefined) {
      registry.register(builtIn);
      continue;
    }
    const { driver, origin } = loadDriver(name, directory);
    registry.register(driver, origin);
  }
  return registry;
}

function splitList(text: string | undefined): string[] {
  return (text ?? "").split(/[\s,]+/).filter((part) => part !== "");
}
