import {
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_bind_iommufd,
} from "@vfio-selftests/core/uapi";
import { askKernel, NO_ADDRESS } from "../raw/ask-kernel";
import { DeviceFile, IommufdFile, NO_SUCH_ID } from "../raw/iommufd-files";
import { requireBrought } from "./brought-by-linux";

const PASID = 1;

/** Skips the test where the kernel is too old to take the token of a PF or VF with the device's own file. */
export function requireDeviceFileToken(address: string): void {
  requireBrought("VFIO_DEVICE_BIND_FLAG_TOKEN", () => {
    using device = new DeviceFile(address);
    using iommufd = new IommufdFile();
    const values = {
      flags: VFIO_DEVICE_BIND_FLAG_TOKEN,
      iommufd: iommufd.file.descriptor("bind"),
      token_uuid_ptr: NO_ADDRESS,
    };
    // It does not know the flag, or it reads the token.
    return askKernel(device.file, { VFIO_DEVICE_BIND_IOMMUFD }, vfio_device_bind_iommufd, values).code === "EFAULT";
  });
}

/** Skips the test where the kernel is too old to attach a PASID. The device is bound to an iommufd. */
export function requirePasids(device: DeviceFile): void {
  // It does not know the flag, or it looks for the page table, or it knows that the device has no PASIDs.
  requireBrought("VFIO_DEVICE_ATTACH_PASID", () => device.attach(NO_SUCH_ID, PASID).code !== "EINVAL");
}
