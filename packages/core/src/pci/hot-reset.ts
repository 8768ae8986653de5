import { native } from "@vfio-selftests/native";
import type { VfioDevice } from "../contracts/vfio-device";
import { VfioError, systemError } from "../errors/vfio-error";
import { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_PCI_HOT_RESET } from "../uapi/vfio-ioctls";
import { VFIO_PCI_HOT_RESET_FLAG_DEV_ID, VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED } from "../uapi/vfio-numbers";
import { vfio_pci_dependent_device, vfio_pci_hot_reset, vfio_pci_hot_reset_info } from "../uapi/vfio-structs";

const ENOSPC = -28;

const REMEDIES: ReadonlyMap<number, string> = new Map([
  [-19, "use a device behind a root port or bridge: the root bus cannot be reset"], // ENODEV
  [-25, "see the kernel log: the bus was reset, but a link or device did not come back in time"], // ENOTTY
]);

/** One device that a hot reset of the slot or bus would reset too. */
export interface HotResetDevice {
  readonly address: string;
  /** Group modes: the IOMMU group that must be owned. */
  readonly group?: number;
  /** Mode `iommufd`: the device's id, 0 when it is owned otherwise (its group), -1 when it is not owned at all. */
  readonly deviceId?: number;
}

/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. */
export interface HotResetInfo {
  readonly devices: readonly HotResetDevice[];
  /** Mode `iommufd` only: every device is owned by this process's iommufd, so the reset is allowed. */
  readonly owned?: boolean;
}

/** Which devices a hot reset affects. Throws `ENODEV` where slot and bus cannot be reset (a root-complex device). */
export function hotResetInfo(device: VfioDevice): HotResetInfo {
  const fd = deviceFd(device, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO");
  const { flags, count } = vfio_pci_hot_reset_info.fields;
  const { argsz } = vfio_pci_hot_reset_info.fields;
  let room = 0;
  for (;;) {
    const view = vfio_pci_hot_reset_info.allocate(room * vfio_pci_dependent_device.size);
    argsz.set(view, view.bytes.length);
    const result = native.ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, view.bytes);
    const found = count.get(view);
    if (result === ENOSPC && found > room) {
      room = found;
      continue;
    }
    if (result < 0) throw failure(result, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", device);
    const byDeviceId = (flags.get(view) & VFIO_PCI_HOT_RESET_FLAG_DEV_ID) !== 0;
    const devices: HotResetDevice[] = [];
    for (let i = 0; i < found; i++) {
      const offset = vfio_pci_hot_reset_info.size + i * vfio_pci_dependent_device.size;
      devices.push(dependentDevice(view.bytes, offset, byDeviceId));
    }
    const owned = (flags.get(view) & VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED) !== 0;
    return byDeviceId ? { devices, owned } : { devices };
  }
}

/**
 * VFIO_DEVICE_PCI_HOT_RESET of the device's slot or bus. Modes on containers prove ownership by the descriptors of all
 * affected groups; mode `iommufd` gives none.
 */
export function hotReset(device: VfioDevice, groupFds: readonly number[]): void {
  const fd = deviceFd(device, "VFIO_DEVICE_PCI_HOT_RESET");
  const { argsz, count } = vfio_pci_hot_reset.fields;
  const view = vfio_pci_hot_reset.allocate(4 * groupFds.length);
  argsz.set(view, view.bytes.length);
  count.set(view, groupFds.length);
  groupFds.forEach((group, position) => (view.s32[vfio_pci_hot_reset.size / 4 + position] = group));
  const result = native.ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, view.bytes);
  if (result < 0) throw failure(result, "VFIO_DEVICE_PCI_HOT_RESET", device);
}

function dependentDevice(bytes: Uint8Array, offset: number, byDeviceId: boolean): HotResetDevice {
  const { fields } = vfio_pci_dependent_device;
  const view = vfio_pci_dependent_device.copyOf(bytes, offset);
  const id = fields.group_id.get(view);
  const devfn = fields.devfn.get(view);
  const domain = fields.segment.get(view).toString(16).padStart(4, "0");
  const bus = fields.bus.get(view).toString(16).padStart(2, "0");
  const slot = (devfn >> 3).toString(16).padStart(2, "0");
  const address = `${domain}:${bus}:${slot}.${devfn & 7}`;
  return byDeviceId ? { address, deviceId: id | 0 } : { address, group: id };
}

function failure(result: number, operation: string, device: VfioDevice): VfioError {
  return systemError(result, operation, {
    subject: device.address,
    remedy: REMEDIES.get(result) ?? "bind every device that hotResetInfo() lists to vfio-pci, and open them all",
  });
}

function deviceFd(device: VfioDevice, operation: string): number {
  if (device.fd === undefined) {
    throw new VfioError(`${operation}: ${device.address} is not a device of the kernel`, {
      code: "ERR_NOT_SUPPORTED",
      operation,
      subject: device.address,
      remedy: "use a device bound to vfio-pci, or reset() for a vfio-user device",
    });
  }
  return device.fd;
}
