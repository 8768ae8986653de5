import type { HotResetInfo, VfioError } from "@vfio-selftests/core";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelFile } from "../kernel/kernel-file";
import { getHotResetInfo, hotReset } from "../requests/device";

const REMEDIES: ReadonlyMap<number, string> = new Map([
  [-Errno.ENODEV, "use a device behind a root port or bridge: the root bus cannot be reset"],
  [-Errno.ENOTTY, "see the kernel log: the bus was reset, but a link or device did not come back in time"],
]);

/**
 * Which devices a hot reset affects. Throws `ENODEV` where neither slot nor bus can be reset (a root-complex device).
 */
export function readHotResetInfo(device: KernelFile, address: string): HotResetInfo {
  for (let room = 0; ;) {
    const request = encodeIoctl(getHotResetInfo, room);
    const result = device.attempt(request);
    const { count, info } = getHotResetInfo.answer(request.view);
    if (result === -Errno.ENOSPC && count > room) {
      room = count;
      continue;
    }
    if (result < 0) throw failure(result, request.name, address);
    return info;
  }
}

/** `groups` are the files of all groups that the reset affects; none for devices opened by their files. */
export function makeHotReset(device: KernelFile, address: string, groups: readonly KernelFile[]): void {
  const descriptors = groups.map((group) => group.descriptor("VFIO_DEVICE_PCI_HOT_RESET"));
  const request = encodeIoctl(hotReset, descriptors);
  const result = device.attempt(request);
  if (result < 0) throw failure(result, request.name, address);
}

function failure(result: number, operation: string, address: string): VfioError {
  return systemError(result, operation, {
    subject: address,
    remedy: REMEDIES.get(result) ?? "bind every device that hotResetInfo() lists to vfio-pci, and open them all",
  });
}
