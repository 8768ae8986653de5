import { normalizePciAddress } from "@vfio-selftests/core/sysfs";
import type { TargetOptions } from "@vfio-selftests/harness";
import { findMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { parseIrqTestOptions } from "./rigs/interrupts/kvm-irq/irq-test-options";
import type { SuiteTarget } from "./suite-target";

/** The target of the devices that the options name, with what the caller brings. Without a device, every test skips. */
export function kernelTargetWith(
  { lab, modes, devices, full, kvmIrq, failingExample, stage }: TargetOptions,
  brought: Pick<SuiteTarget, "drivers" | "kvm">,
): SuiteTarget {
  return {
    kind: lab ? "lab" : "hardware",
    modes: modes.length === 0 ? iommuModes : modes.map(findMode),
    devices: devices.map(normalizePciAddress),
    full,
    failingExample,
    ...(stage === undefined ? {} : { stage }),
    ...(kvmIrq === undefined ? {} : { kvmIrq: parseIrqTestOptions(kvmIrq) }),
    ...brought,
  };
}
