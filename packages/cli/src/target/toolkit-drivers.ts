import { loadDriver, type RegisteredDriver, resolveDriver } from "@vfio-selftests/core/driver";
import { VfioError } from "@vfio-selftests/core/errors";

/** Where a driver is found: its package, and the folder from which it resolves. */
export interface DriverPlace {
  readonly name: string;
  readonly from: string;
}

/** Packages of drivers, and the folder beside which they may be installed; a test replaces both. */
export interface Toolkit {
  readonly from: string;
  /** By the names that `--driver` takes. */
  readonly packages: Readonly<Record<string, string>>;
}

/**
 * The toolkit's drivers. Their packages are optional peers of this one, so a vendor who installs it for a driver of the
 * vendor's own gets none of them.
 */
const TOOLKIT: Toolkit = {
  from: __dirname,
  packages: {
    ioat: "@vfio-selftests/driver-ioat",
    dsa: "@vfio-selftests/driver-dsa",
    igb: "@vfio-selftests/driver-igb",
    "nv-falcon": "@vfio-selftests/driver-nv-falcon",
    nvme: "@vfio-selftests/driver-nvme",
  },
};

export const TOOLKIT_DRIVER_NAMES: readonly string[] = Object.keys(TOOLKIT.packages);

/** Those that are installed beside this package, loaded. A broken one is an error that names it. */
export function installedToolkitDrivers({ from, packages } = TOOLKIT): readonly RegisteredDriver[] {
  return Object.values(packages).flatMap((name) => (isInstalled(name, from) ? [loadDriver(name, from)] : []));
}

/** The packages of those that are not installed beside this package. */
export function missingToolkitDrivers({ from, packages } = TOOLKIT): readonly string[] {
  return Object.values(packages).filter((name) => !isInstalled(name, from));
}

/**
 * The place of the toolkit's driver of this name: beside this package, or else in the project. Undefined for any other
 * name. ERR_DRIVER_NOT_FOUND says how to install it. The driver is not loaded.
 */
export function findToolkitDriver(
  driverName: string,
  project: string,
  { from, packages } = TOOLKIT,
): DriverPlace | undefined {
  const name = Object.hasOwn(packages, driverName) ? packages[driverName] : undefined;
  if (name === undefined) return undefined;
  if (isInstalled(name, from)) return { name, from };
  resolveDriver(name, project);
  return { name, from: project };
}

function isInstalled(packageName: string, from: string): boolean {
  try {
    resolveDriver(packageName, from);
    return true;
  } catch (error) {
    if (error instanceof VfioError && error.code === "ERR_DRIVER_NOT_FOUND") return false;
    throw error;
  }
}
