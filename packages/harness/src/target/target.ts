import { DEFAULT_MODE, type IommuMode } from "@vfio-selftests/core";
import type { DriverRegistry } from "@vfio-selftests/core/driver";

/** What tests run against, ready to use: the modes can be opened, and the drivers are loaded. */
export interface Target {
  /** `models`: no kernel answers, so tests of kernel interfaces do not apply. */
  readonly kind: "models" | "lab" | "hardware";
  /** In the order of the report. Tests of an unavailable mode skip with the mode's reason. */
  readonly modes: readonly IommuMode[];
  /** Addresses. Empty: every test skips and says how to get a device. */
  readonly devices: readonly string[];
  /** The drivers that may serve the devices. */
  readonly drivers: DriverRegistry;
}

/** The mode of tests that do not repeat over the modes: upstream's default, where the target has it. */
export function defaultMode({ modes }: Pick<Target, "modes">): IommuMode {
  const mode = modes.find(({ name }) => name === DEFAULT_MODE) ?? modes[0];
  if (mode === undefined) throw new TypeError("a target needs at least one mode");
  return mode;
}
