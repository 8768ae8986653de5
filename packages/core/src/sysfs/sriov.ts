import { argumentError, VfioError } from "../errors/vfio-error";
import { requirePciDevice } from "./pci-devices";
import { linkName, readNumber, type SystemPaths, systemPaths } from "./system-paths";

/** VFs that a physical function can have; undefined when it has no SR-IOV. */
export function sriovTotalVfs(address: string, paths: SystemPaths = systemPaths): number | undefined {
  return readNumber(paths.pciDevice(requirePciDevice(address, paths), "sriov_totalvfs"));
}

/** VFs that are enabled; 0 when the device has no SR-IOV. */
export function sriovNumVfs(address: string, paths: SystemPaths = systemPaths): number {
  return readNumber(paths.pciDevice(requirePciDevice(address, paths), "sriov_numvfs")) ?? 0;
}

/**
 * Enables `count` VFs (0 disables). The kernel refuses to go from one count to another except through 0 (`EBUSY`), and
 * gives `ENOENT` when the driver of the physical function does not offer it.
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

/** Address of VF number `index`; undefined when it is not enabled. */
export function sriovVfAddress(address: string, index: number, paths: SystemPaths = systemPaths): string | undefined {
  return linkName(paths.pciDevice(requirePciDevice(address, paths), `virtfn${index}`));
}

const SRIOV_REMEDIES = {
  ENOENT: "allow it: load vfio-pci with enable_sriov=1 (boot parameter vfio_pci.enable_sriov=1)",
  EBUSY: "disable the VFs first (write 0), after closing who uses them",
};
