import { normalizePciAddress } from "@vfio-selftests/core/sysfs";
import { findMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { chooseDrivers } from "./driver-choice";
import { parseIrqTestOptions } from "./kvm-irq/irq-test-options";
import type { SuiteTarget } from "./suite-target";
import { TARGET_VARIABLES, targetList, type Environment } from "./target-environment";

/** The kernel's devices that the environment names; with none, every test is skipped and says how to get one. */
export function kernelTarget(environment: Environment = process.env): SuiteTarget {
  const modes = targetList(environment, "modes");
  const kvmIrq = environment[TARGET_VARIABLES.kvmIrq];
  return {
    kind: environment[TARGET_VARIABLES.lab] === undefined ? "hardware" : "lab",
    modes: modes.length === 0 ? iommuModes : modes.map(findMode),
    devices: targetList(environment, "devices").map(normalizePciAddress),
    drivers: chooseDrivers(targetList(environment, "drivers")),
    ...(kvmIrq === undefined ? {} : { kvmIrq: parseIrqTestOptions(kvmIrq) }),
  };
}
