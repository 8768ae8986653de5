import { connectModel, modelNames } from "@vfio-selftests/device-models";
import { VfioUserMode } from "@vfio-selftests/vfio-user";
import { chooseDrivers } from "./choose-drivers";
import type { SuiteTarget } from "@vfio-selftests/suites";
import { TARGET_VARIABLES, targetList, type Environment } from "@vfio-selftests/harness";

/** Models copy as fast as the CPU, but a first run should take seconds and no gigabyte of memory. */
const QUICK_LARGEST_COPY = 2 * 1024 ** 2;

/** The vfio-user devices that the environment names; with none, every device model there is. */
export function modelsTarget(environment: Environment = process.env): SuiteTarget {
  const devices = targetList(environment, "devices");
  return {
    kind: "models",
    modes: [new VfioUserMode({ connectModel })],
    devices: devices.length === 0 ? modelNames.map((name) => `model:${name}`) : devices,
    drivers: chooseDrivers(targetList(environment, "drivers")),
    ...(environment[TARGET_VARIABLES.full] === undefined ? { largestCopy: QUICK_LARGEST_COPY } : {}),
  };
}
