import { modelKinds } from "@vfio-selftests/device-models";
import { targetOptions } from "@vfio-selftests/harness";
import type { SuiteTarget } from "@vfio-selftests/suites";
import { VfioUserMode } from "@vfio-selftests/vfio-user";
import { connectNamedModel } from "../model/start-named-model";
import { chooseDrivers } from "./choose-drivers";

/** Models copy as fast as the CPU, but a first run should take seconds and no gigabyte of memory. */
const QUICK_LARGEST_COPY = 2 * 1024 ** 2;

/** The vfio-user devices that the options name; without options, a device model of each kind. */
export function modelsTarget(options = targetOptions(), drivers = chooseDrivers(options)): SuiteTarget {
  const { devices, full, failingExample } = options;
  return {
    kind: "models",
    modes: [new VfioUserMode({ connectModel: (name) => connectNamedModel(name) })],
    devices: devices.length === 0 ? modelKinds.map((name) => `model:${name}`) : devices,
    drivers,
    failingExample,
    ...(full ? {} : { largestCopy: QUICK_LARGEST_COPY }),
  };
}
