import { codeOwner, discoverDrivers, type Driver, DriverRegistry, loadDriver } from "@vfio-selftests/core/driver";
import { dsaDriver } from "@vfio-selftests/driver-dsa";
import { igbDriver } from "@vfio-selftests/driver-igb";
import { ioatDriver } from "@vfio-selftests/driver-ioat";
import type { TargetOptions } from "@vfio-selftests/harness";
import type { BuiltInDriverName } from "./find-drivers";

/** The drivers that come with the toolkit. */
const BUILT_IN_DRIVERS: Readonly<Record<BuiltInDriverName, Driver>> = {
  ioat: ioatDriver,
  dsa: dsaDriver,
  igb: igbDriver,
};

/**
 * The built-in drivers and those of the project in `directory`; or, where the caller names some, only those. It reports
 * which of the project's drivers it took, because nobody named them, and which it refused.
 */
export function chooseDrivers(
  { drivers: names, lab, confined }: Pick<TargetOptions, "drivers" | "lab" | "confined">,
  directory = process.cwd(),
  tell: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): DriverRegistry {
  const registry = new DriverRegistry();
  const owner = { ...codeOwner(), confined: lab && confined };
  if (names.length === 0) {
    for (const driver of Object.values(BUILT_IN_DRIVERS)) registry.register(driver);
    const { drivers, refused } = discoverDrivers(directory, owner);
    for (const { driver, origin } of drivers) {
      // A project may depend on a driver of the toolkit.
      if (registry.drivers.includes(driver)) continue;
      registry.register(driver, origin);
      tell(`driver ${driver.name} is ${origin}'s, found from ${directory}`);
    }
    refused.forEach(tell);
  }
  for (const name of names) {
    const builtIn = (BUILT_IN_DRIVERS as Readonly<Record<string, Driver>>)[name];
    if (builtIn !== undefined) {
      registry.register(builtIn);
    } else {
      const { driver, origin } = loadDriver(name, directory, owner);
      registry.register(driver, origin);
    }
  }
  return registry;
}
