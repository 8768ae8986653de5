import { loadDriver, resolveDriver } from "@vfio-selftests/core/driver";
import { findToolkitDriver } from "./toolkit-drivers";

/**
 * Throws for a driver that is missing. It loads only those that are named by nothing but their own name: the test file loads
 * the others, and all of them again, because driver and tests share jest's modules.
 */
export function findDrivers(names: readonly string[], directory = process.cwd()): void {
  for (const name of names) {
    if (findToolkitDriver(name, directory) === undefined) findDriver(name, directory);
  }
}

function findDriver(name: string, directory: string): void {
  try {
    resolveDriver(name, directory);
  } catch {
    loadDriver(name, directory);
  }
}
