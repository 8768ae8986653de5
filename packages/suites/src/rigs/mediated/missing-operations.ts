import { Errno } from "@vfio-selftests/core/errors";
import {
  MAP_SHARED,
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
} from "@vfio-selftests/core/uapi";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";
import { askKernel, askPlainly } from "../raw/ask-kernel";

/** Features from 0 on of which each kernel that has the device says the same. */
const KNOWN_FEATURES = 12;
const UNKNOWN_FEATURE = 0x7fff;

/** vfio_device_fops_unl_ioctl, vfio_device_fops_mmap, vfio_get_region_info, vfio_ioctl_device_feature: mpin has none of these. */
export function expectNoOperations(device: KernelFile): void {
  const argument = new Uint8Array(64);
  argument[0] = argument.length;
  const requests = { VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_RESET };
  const answers = Object.entries(requests).map(([name, request]) => askPlainly(device, { [name]: request }, argument));
  expect(answers).toEqual(["EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
  expect(native.mapIo({ fd: device.descriptor("map"), length: PAGE_SIZE, flags: MAP_SHARED })).toBe(-Errno.EINVAL);
  const feature = (flags: number) =>
    askKernel(device, { VFIO_DEVICE_FEATURE }, vfio_device_feature, { flags }, { data: new Uint8Array(64) }).code;
  for (const name of [...Array(KNOWN_FEATURES).keys(), UNKNOWN_FEATURE]) {
    expect([name, feature(name | GET), feature(name | SET | PROBE)]).toEqual([name, "ENOTTY", "ENOTTY"]);
  }
  // Looked at before it is known whether there is such a feature.
  expect([feature(UNKNOWN_FEATURE | GET | SET), feature(UNKNOWN_FEATURE | (1 << 19))]).toEqual(["EINVAL", "EINVAL"]);
}
