import { loadDriver, resolveDriver } from "@vfio-selftests/core/driver";

/** The drivers that come with the toolkit, by the names that `--driver` takes. */
export const BUILT_IN_DRIVER_NAMES = ["ioat", "dsa", "igb"] as const;

export type BuiltInDriverName = (typeof BUILT_IN_DRIVER_NAMES)[number];

/**
 * Throws for a driver that is missing. It loads only those that are named by nothing but their own name: the test file loads
 * the others, and all of them again, because driver and tests share jest's modules.
 */
export function findDrivers(names: readonly string[], directory = process.cwd()): void {
  const builtIn: readonly string[] = BUILT_IN_DRIVER_NAMES;
  for (const name of names) if (!builtIn.includes(name)) findDriver(name, directory);
}

function findDriver(name: string, directory: string): void {
  try {
    resolveDriver(name, directory);
  } catch {
    loadDriver(name, directory);
  }
}
