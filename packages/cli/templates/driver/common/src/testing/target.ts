import { resolve } from "node:path";
import { DriverRegistry } from "@vfio-selftests/core/driver";
import { targetOptions } from "@vfio-selftests/harness";
import { kernelTargetWith, type SuiteTarget } from "@vfio-selftests/suites";
import { ModelWorker, VfioUserMode } from "@vfio-selftests/vfio-user";
import { driver } from "../index.js";

/** The built model. npm and jest run in the package's folder. */
const MODEL = resolve("dist/model.js");

/** What the tests test: the devices that VFIO_SELFTESTS_BDF names, else the model. */
export function testTarget(): SuiteTarget {
  const options = targetOptions();
  const drivers = new DriverRegistry([driver]);
  if (options.devices.length > 0) return kernelTargetWith(options, { drivers });
  return {
    kind: "models",
    modes: [new VfioUserMode({ connectModel })],
    devices: [`model:${driver.name}`],
    drivers,
    // A model copies all that the C suite copies, too, but a run should take seconds.
    largestCopy: 2 * 2 ** 20,
  };
}

/** A new model in a thread of its own, for each device that a test opens. */
function connectModel() {
  const worker = new ModelWorker({ module: MODEL });
  return { fd: worker.connect(), close: () => void worker.close(), failure: () => worker.failure };
}
