import type { IommuMode } from "@vfio-selftests/core";
import { skip, type SkipReason } from "../outcome/skip";
import type { Target } from "./target";

const NO_DEVICE: SkipReason = {
  reason: "no device was named",
  remedy:
    "vfio-selftests lab run (a real kernel and device in a VM), or name a device bound to vfio-pci: " +
    "VFIO_SELFTESTS_BDF=0000:6a:01.0",
};

/**
 * Defines a fixture, once per device. Its title is the first part of the ids. With several devices, the device's
 * address is a title above it, so that the ids stay the same. Without a device its tests skip.
 */
export function fixture(name: string, target: Pick<Target, "devices">, define: (address: string) => void): void {
  const [first, ...others] = target.devices;
  if (first === undefined) {
    describe(name, () => {
      beforeEach(() => skip(NO_DEVICE));
      define("");
    });
  } else if (others.length === 0) {
    describe(name, () => define(first));
  } else {
    for (const address of target.devices) describe(address, () => describe(name, () => define(address)));
  }
}

/** Defines a variant per mode, named `MODE` or `MODE_SUFFIX`. */
export function eachMode(target: Pick<Target, "modes">, define: (mode: IommuMode) => void, suffix = ""): void {
  for (const mode of target.modes) {
    describe(suffix === "" ? mode.name : `${mode.name}_${suffix}`, () => {
      requireMode(mode);
      define(mode);
    });
  }
}

/** Skips the tests of the enclosing block where the mode cannot be used. */
export function requireMode(mode: IommuMode): void {
  beforeEach(() => {
    const availability = mode.availability();
    if (!availability.available) skip(availability);
  });
}
