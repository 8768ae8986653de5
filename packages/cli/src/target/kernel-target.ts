import { targetOptions } from "@vfio-selftests/harness";
import { kvm } from "@vfio-selftests/kvm";
import { kernelTargetWith, type SuiteTarget } from "@vfio-selftests/suites";
import { chooseDrivers } from "./choose-drivers";

/** The kernel's devices that the options name, with the toolkit's drivers, the project's drivers, and KVM. */
export function kernelTarget(options = targetOptions(), drivers = chooseDrivers(options)): SuiteTarget {
  return kernelTargetWith(options, { drivers, kvm });
}
