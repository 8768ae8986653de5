import { codeOwner, discoverDrivers, DriverRegistry, loadDriver } from "@vfio-selftests/core/driver";
import type { VfioError } from "@vfio-selftests/core/errors";
import { environmentOptions, type TargetOptions } from "@vfio-selftests/harness";
import { tellError } from "../report-error";
import { findToolkitDriver, installedToolkitDrivers } from "./toolkit-drivers";

/**
 * The toolkit's drivers that are installed, and those of the project in `directory`; or, where the caller names some, only those. It reports
 * which of the project's drivers it took, because nobody named them, and which it refused. A broken one of the project is the
 * caller's `onBroken`, by default an error.
 */
export function chooseDrivers(
  { drivers: names, lab, confined }: Pick<TargetOptions, "drivers" | "lab" | "confined">,
  directory = process.cwd(),
  tell: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
  onBroken: (error: VfioError) => void = (error) => {
    throw error;
  },
): DriverRegistry {
  const registry = new DriverRegistry();
  const owner = { ...codeOwner(), confined: lab && confined };
  if (names.length === 0) {
    for (const { driver, origin } of installedToolkitDrivers()) registry.register(driver, origin);
    const { drivers, refused, broken } = discoverDrivers(directory, owner);
    for (const { driver, origin } of drivers) {
      // A project may depend on a driver of the toolkit.
      if (registry.drivers.includes(driver)) continue;
      registry.register(driver, origin);
      tell(`driver ${driver.name} is ${origin}'s, found from ${directory}`);
    }
    refused.forEach(tell);
    broken.forEach(onBroken);
  }
  for (const name of names) {
    const place = findToolkitDriver(name, directory) ?? { name, from: directory };
    const { driver, origin } = loadDriver(place.name, place.from, owner);
    registry.register(driver, origin);
  }
  return registry;
}

/** For a command that shows what there is: it tells of the project's broken drivers, and goes on without them. */
export function driversToShow(): DriverRegistry {
  return chooseDrivers(environmentOptions(), undefined, undefined, tellError);
}
