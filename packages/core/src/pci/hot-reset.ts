import type { HotResetInfo, VfioDevice } from "../contracts/vfio-device";
import { VfioError } from "../errors/vfio-error";

/**
 * Which devices a hot reset affects. Throws `ENODEV` where neither slot nor bus can be reset (a root-complex device).
 */
export function hotResetInfo(device: VfioDevice): HotResetInfo {
  return device.hotResetInfo?.() ?? refuse(device, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO");
}

/** Resets the device's slot or bus. `owned` are devices of all groups that the reset affects. */
export function hotReset(device: VfioDevice, owned: readonly VfioDevice[]): void {
  if (device.hotReset === undefined) refuse(device, "VFIO_DEVICE_PCI_HOT_RESET");
  device.hotReset(owned);
}

function refuse(device: VfioDevice, operation: string): never {
  throw new VfioError(`${operation}: ${device.address} is not a device of the kernel`, {
    code: "ERR_NOT_SUPPORTED",
    operation,
    subject: device.address,
    remedy: "use a device bound to vfio-pci, or reset() for a vfio-user device",
  });
}
