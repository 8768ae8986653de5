import { VfioError } from "../errors/vfio-error";
import { linkName, type SystemPaths, systemPaths } from "./system-paths";

/** Whether a driver's name is that of vfio-pci or of one of its variants (mlx5_vfio_pci, nvgrace-gpu-vfio-pci, …). */
export function isVfioDriver(driver: string | undefined): boolean {
  return driver !== undefined && /(^|[-_])vfio[-_]pci$/.test(driver);
}

/** The remedy for a device that is not bound to a VFIO driver; undefined if it is. */
export function vfioDriverRemedy(address: string, paths: SystemPaths = systemPaths): string | undefined {
  const driver = linkName(paths.pciDevice(address, "driver"));
  if (isVfioDriver(driver)) return undefined;
  return driver === undefined
    ? `bind it, it has no driver: sudo vfio-selftests bind ${address}`
    : `bind it to vfio-pci, it is bound to ${driver}: sudo vfio-selftests bind ${address}`;
}

/** Throws ENODEV, with the present driver and the command, unless the device is bound to a VFIO driver. */
export function requireVfioDriver(address: string, operation: string, paths: SystemPaths = systemPaths): void {
  const driver = linkName(paths.pciDevice(address, "driver"));
  if (isVfioDriver(driver)) return;
  throw new VfioError(
    `${address} is ${driver === undefined ? "not bound to a driver" : `bound to ${driver}`}, not to vfio-pci`,
    {
      code: "ENODEV",
      operation,
      subject: address,
      remedy: `sudo vfio-selftests bind ${address}`,
    },
  );
}
