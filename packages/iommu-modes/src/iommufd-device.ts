import type { VfioError } from "@vfio-selftests/core";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import { iommuGroupOf } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
} from "@vfio-selftests/core/uapi";
import { busyRemedy, describeBlockers, describeUsers, groupNotViable } from "./group-diagnosis";
import { ioctl, type KernelEnvironment } from "./kernel-calls";
import { vfTokenBytes } from "./vf-token";

/** The structure before Linux 6.17, which knows no token. */
const SIZE_WITHOUT_TOKEN = vfio_device_bind_iommufd.fields.token_uuid_ptr.offset;

/** VFIO_DEVICE_BIND_IOMMUFD; gives iommufd's id of the device. */
export function bindDevice(
  kernel: KernelEnvironment,
  fd: number,
  iommufd: number,
  address: string,
  vfToken: string | undefined,
): number {
  const { argsz, flags, iommufd: iommufdField, out_devid, token_uuid_ptr } = vfio_device_bind_iommufd.fields;
  const view = vfio_device_bind_iommufd.allocate();
  iommufdField.set(view, iommufd);
  let result: number;
  if (vfToken === undefined) {
    argsz.set(view, SIZE_WITHOUT_TOKEN);
    result = kernel.calls.ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, view.bytes);
  } else {
    argsz.set(view, vfio_device_bind_iommufd.size);
    flags.set(view, VFIO_DEVICE_BIND_FLAG_TOKEN);
    result = kernel.calls.ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, view.bytes, token_uuid_ptr.offset, vfTokenBytes(vfToken));
  }
  if (result < 0) throw bindError(result, fd, address, kernel);
  return out_devid.get(view);
}

/** VFIO_DEVICE_ATTACH_IOMMUFD_PT to an IOAS or HWPT; gives the id of the page table that the kernel took. */
export function attachDevice(kernel: KernelEnvironment, fd: number, pageTableId: number, address: string): number {
  const { argsz, pt_id } = vfio_device_attach_iommufd_pt.fields;
  const view = vfio_device_attach_iommufd_pt.allocate();
  argsz.set(view, vfio_device_attach_iommufd_pt.size);
  pt_id.set(view, pageTableId);
  ioctl(kernel, fd, { VFIO_DEVICE_ATTACH_IOMMUFD_PT }, `${address}, page table ${pageTableId}`, view.bytes);
  return pt_id.get(view);
}

/** VFIO_DEVICE_DETACH_IOMMUFD_PT. The result does not matter: closing the file, which follows, detaches too. */
export function detachDevice(kernel: KernelEnvironment, fd: number): void {
  const view = vfio_device_detach_iommufd_pt.allocate();
  vfio_device_detach_iommufd_pt.fields.argsz.set(view, vfio_device_detach_iommufd_pt.size);
  kernel.calls.ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, view.bytes);
}

function bindError(result: number, fd: number, address: string, kernel: KernelEnvironment): VfioError {
  const { paths } = kernel;
  const group = iommuGroupOf(address, paths);
  if (describeBlockers(group, paths) !== undefined) return groupNotViable(group, "VFIO_DEVICE_BIND_IOMMUFD", paths);
  // The use of the group by its group file is EBUSY, of this device EINVAL, of the group by another iommufd EPERM.
  const used = describeUsers(group, paths, fd) !== undefined;
  const remedy = result === -Errno.EBUSY || used ? busyRemedy(group, paths, fd) : undefined;
  return systemError(result, "VFIO_DEVICE_BIND_IOMMUFD", { subject: address, remedy });
}
