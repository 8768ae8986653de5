import { DriverRegistry, discoverDrivers, loadDriver, type Driver } from "@vfio-selftests/core/driver";
import { dsaDriver } from "@vfio-selftests/driver-dsa";
import { igbDriver } from "@vfio-selftests/driver-igb";
import { ioatDriver } from "@vfio-selftests/driver-ioat";

/** The drivers that come with the toolkit. */
export const BUILT_IN_DRIVERS: readonly Driver[] = [ioatDriver, dsaDriver, igbDriver];

/** The built-in drivers and those of the project in `directory`; or, where some are named, only those. */
export function chooseDrivers(names: readonly string[], directory = process.cwd()): DriverRegistry {
  const registry = new DriverRegistry();
  if (names.length === 0) {
    for (const driver of BUILT_IN_DRIVERS) registry.register(driver);
    for (const { driver, origin } of discoverDrivers(directory).drivers) registry.register(driver, origin);
  }
  for (const name of names) {
    const builtIn = BUILT_IN_DRIVERS.find((driver) => driver.name === name);
    if (builtIn !== undefined) {
      registry.register(builtIn);
    } else {
      const { driver, origin } = loadDriver(name, directory);
      registry.register(driver, origin);
    }
  }
  return registry;
}
