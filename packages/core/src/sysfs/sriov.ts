import { argumentError, VfioError } from "../errors/vfio-error";
import { requirePciDevice } from "./pci-devices";
import { linkName, readNumber, type SystemPaths, systemPaths } from "./system-paths";

/** How many VFs a physical function can have; undefined if it has no SR-IOV. */
export function sriovTotalVfs(address: string, paths: SystemPaths = systemPaths): number | undefined {
  return readNumber(paths.pciDevice(requirePciDevice(address, paths), "sriov_totalvfs"));
}

/** How many VFs are enabled; 0 if the device has no SR-IOV. */
export function sriovNumVfs(address: string, paths: SystemPaths = systemPaths): number {
  return readNumber(paths.pciDevice(requirePciDevice(address, paths), "sriov_numvfs")) ?? 0;
}

/**
 * Enables `count` VFs (0 disables). The kernel goes from one count to another only through 0 (otherwise `EBUSY`), and
 * gives `ENOENT` if the driver of the physical function offers no VFs.
 */
export function setSriovNumVfs(address: string, count: number, paths: SystemPaths = systemPaths): void {
  const device = requirePciDevice(address, paths);
  const total = sriovTotalVfs(device, paths);
  if (total === undefined) {
    throw new VfioError(`${device} has no SR-IOV`, {
      code: "ERR_NOT_SUPPORTED",
      operation: "set sriov_numvfs",
      subject: device,
    });
  }
  if (!Number.isInteger(count) || count < 0 || count > total) {
    throw argumentError("set sriov_numvfs", "count", count, `0 to ${total}`);
  }
  paths.write(paths.pciDevice(device, "sriov_numvfs"), String(count), SRIOV_REMEDIES);
}

/** Address of VF number `index`; undefined if it is not enabled. */
export function sriovVfAddress(address: string, index: number, paths: SystemPaths = systemPaths): string | undefined {
  return linkName(paths.pciDevice(requirePciDevice(address, paths), `virtfn${index}`));
}

const SRIOV_REMEDIES = {
  ENOENT: "allow it: load vfio-pci with enable_sriov=1 (boot parameter vfio_pci.enable_sriov=1)",
  EBUSY: "disable the VFs first (write 0), after closing who uses them",
};
