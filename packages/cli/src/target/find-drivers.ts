import { resolveDriver } from "@vfio-selftests/core/driver";

/** The drivers that come with the toolkit, by the names that `--driver` takes. */
const BUILT_IN_DRIVER_NAMES = ["ioat", "dsa", "igb"] as const;

export type BuiltInDriverName = (typeof BUILT_IN_DRIVER_NAMES)[number];

/**
 * Throws for a driver that is missing. It loads none: the test file does, because driver and tests must share one
 * `core`.
 */
export function findDrivers(names: readonly string[], directory = process.cwd()): void {
  const builtIn: readonly string[] = BUILT_IN_DRIVER_NAMES;
  for (const name of names) if (!builtIn.includes(name)) resolveDriver(name, directory);
}
