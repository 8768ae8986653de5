import type { RegionInfo } from "@vfio-selftests/core";
import { decodeRegionInfo, VFIO_DEVICE_GET_REGION_INFO, vfio_region_info } from "@vfio-selftests/core/uapi";
import { infoIoctl } from "./info-ioctl";
import type { KernelEnvironment } from "./kernel-calls";

/** VFIO_DEVICE_GET_REGION_INFO of one region. */
export function readRegionInfo(kernel: KernelEnvironment, fd: number, address: string, index: number): RegionInfo {
  const view = infoIoctl(
    kernel,
    fd,
    { VFIO_DEVICE_GET_REGION_INFO },
    `${address}, region ${index}`,
    vfio_region_info,
    (request) => vfio_region_info.fields.index.set(request, index),
  );
  return decodeRegionInfo(index, view.bytes);
}
