import { type PciDevice, VfioError } from "@vfio-selftests/core";
import type { Driver, DriverRegistry } from "@vfio-selftests/core/driver";
import { skip, type Target } from "@vfio-selftests/harness";
import { eduDriver } from "../../devices/edu/edu-driver";

/** The driver that serves the device. Skips the test when there is none. Throws when there are several. */
export function findDriver(target: Target, device: PciDevice): Driver {
  try {
    return target.drivers.find(device);
  } catch (error) {
    if (!isMissing(error)) throw error;
    skip({ reason: whyNone(target.drivers, device), remedy: error.remedy ?? "name a driver with --driver" });
  }
}

/** Which drivers there are, and why each refuses the device. */
function whyNone(drivers: DriverRegistry, device: PciDevice): string {
  const { vendorId, deviceId } = device.config;
  const ids = [vendorId, deviceId].map((id) => id.toString(16).padStart(4, "0")).join(":");
  const names = new Map<string, string[]>();
  for (const verdict of drivers.verdicts(device)) {
    if (verdict.matches) continue;
    names.set(verdict.reason, [...(names.get(verdict.reason) ?? []), verdict.driver.name]);
  }
  const refusals = [...names].map(([reason, of]) => `${of.join(", ")}: ${reason}`);
  return `no driver serves the device (${ids}); ${refusals.length === 0 ? "none is known" : refusals.join("; ")}`;
}

/** The target's driver for the device, or the suites' own for QEMU's edu. Skips the test when there is none. */
export function findCopyDriver(target: Target, device: PciDevice): Driver {
  const isEdu = eduDriver.ids?.some(({ vendor, device: id }) => device.matches(vendor, id)) ?? false;
  if (!isEdu) return findDriver(target, device);
  try {
    return target.drivers.find(device);
  } catch (error) {
    if (isMissing(error)) return eduDriver;
    throw error;
  }
}

function isMissing(error: unknown): error is VfioError {
  return error instanceof VfioError && error.code === "ERR_NO_DRIVER";
}
