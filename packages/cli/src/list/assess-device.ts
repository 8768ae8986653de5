import type { Driver } from "@vfio-selftests/core/driver";
import {
  describeVfioUsers,
  groupBlockers,
  isVfioDriver,
  type PciDeviceEntry,
  type SystemPaths,
  systemPaths,
} from "@vfio-selftests/core/sysfs";

/** A device as `list` shows it. */
export interface ListedDevice {
  readonly address: string;
  /** `8086:10c9`. */
  readonly ids: string;
  /** Base class and sub-class: `0200`. */
  readonly class: string;
  readonly group?: number;
  readonly driver?: string;
  /** Our driver that claims the ids. It may still refuse the device after a closer look. */
  readonly selftestDriver?: string;
  /** The suites can run on it now. */
  readonly usable: boolean;
  readonly reason?: string;
  readonly remedy?: string;
}

export function assessDevice(
  entry: PciDeviceEntry,
  drivers: readonly Driver[],
  paths: SystemPaths = systemPaths,
): ListedDevice {
  const { address, vendor, device, iommuGroup, driver } = entry;
  const match = drivers.find(({ ids }) => ids?.some((id) => id.vendor === vendor && id.device === device));
  const obstacle = findObstacle(entry, paths);
  return {
    address,
    ids: `${hex(vendor)}:${hex(device)}`,
    class: hex(entry.class >> 8),
    ...(iommuGroup === undefined ? {} : { group: iommuGroup }),
    ...(driver === undefined ? {} : { driver }),
    ...(match === undefined ? {} : { selftestDriver: match.name }),
    usable: obstacle === undefined,
    ...obstacle,
  };
}

/** What keeps the suites from the device. Of several obstacles, the one to remove first. */
function findObstacle(entry: PciDeviceEntry, paths: SystemPaths): { reason: string; remedy: string } | undefined {
  const { address, iommuGroup, driver } = entry;
  if (iommuGroup === undefined) {
    return {
      reason: "it is in no IOMMU group",
      remedy: "switch the IOMMU on (firmware, intel_iommu=on or amd_iommu=on)",
    };
  }
  if (!isVfioDriver(driver)) {
    return {
      reason: driver === undefined ? "it has no driver" : `it is bound to ${driver}`,
      remedy: bindRemedy(address),
    };
  }
  const blockers = groupBlockers(iommuGroup, paths);
  if (blockers.length > 0) {
    const names = blockers.map((blocker) => `${blocker.address} (${blocker.driver ?? ""})`);
    return {
      reason: `its IOMMU group ${iommuGroup} is not viable because of ${names.join(", ")}`,
      remedy: bindRemedy(...blockers.map((blocker) => blocker.address)),
    };
  }
  const use = describeVfioUsers([address], paths);
  return use === undefined ? undefined : { reason: `it is in use: ${use}`, remedy: "end that process" };
}

function bindRemedy(...addresses: readonly string[]): string {
  return `sudo vfio-selftests bind ${addresses.join(" ")}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(4, "0");
}
