import type { OpenDeviceOptions, VfioDevice, VfioError } from "@vfio-selftests/core";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import {
  iommuGroupOf,
  noiommuCdevPath,
  requirePciDevice,
  requireVfioDriver,
  vfioCdevPath,
} from "@vfio-selftests/core/sysfs";
import { KernelDevice } from "../device/kernel-device";
import { busyRemedy, describeBlockers, describeUsers, groupNotViable } from "../kernel/group-diagnosis";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelEnvironment } from "../kernel/kernel-calls";
import { KernelFile } from "../kernel/kernel-file";
import { attachPageTable, bindIommufd, detachPageTable } from "../requests/device";

/** What a device attaches to: an IoAddressSpace or a HardwarePageTable. */
interface PageTable {
  readonly name: string;
  /** Its number in the iommufd. Throws if it belongs to another iommufd. */
  idIn(iommufd: KernelFile): number;
}

/** A device file's tie to an iommufd: the device's id there, and the page table that the device uses. */
export class IommufdDevice {
  /** iommufd's id of the device. */
  readonly id: number;
  readonly #file: KernelFile;
  readonly #iommufd: KernelFile;
  readonly #address: string;

  /** VFIO_DEVICE_BIND_IOMMUFD. The tie lasts as long as the file. */
  static bind(file: KernelFile, iommufd: KernelFile, address: string, vfToken?: string): IommufdDevice {
    const request = encodeIoctl(bindIommufd, iommufd.descriptor("VFIO_DEVICE_BIND_IOMMUFD"), vfToken);
    const result = file.attempt(request);
    if (result < 0) throw bindError(result, file, address);
    return new IommufdDevice(file, iommufd, address, bindIommufd.answer(request.view));
  }

  private constructor(file: KernelFile, iommufd: KernelFile, address: string, id: number) {
    this.#file = file;
    this.#iommufd = iommufd;
    this.#address = address;
    this.id = id;
  }

  /**
   * Attaches the device, or moves it with its group. Returns the id of the page table that the kernel took. The page
   * table must belong to the device's iommufd.
   */
  attach(pageTable: PageTable): number {
    return this.#file.ask(attachPageTable, `${this.#address}, ${pageTable.name}`, pageTable.idIn(this.#iommufd));
  }

  /** Detaches the device from its page table. Its DMA is blocked then. */
  detach(): void {
    this.#file.ask(detachPageTable, this.#address);
  }
}

const ties = new WeakMap<VfioDevice, IommufdDevice>();

/** The tie of a device that {@link openByFile} opened; undefined for others. */
export function tieOf(device: VfioDevice): IommufdDevice | undefined {
  return ties.get(device);
}

/** How a device is opened by its own file. */
interface FileOptions extends OpenDeviceOptions {
  /** Whether the file is that of a device without an IOMMU. */
  readonly withoutIommu?: boolean;
}

/** Opens a device by its own file, binds it to the iommufd, and attaches it if `attachTo` is given. */
export function openByFile(
  kernel: KernelEnvironment,
  iommufd: KernelFile,
  attachTo: PageTable | undefined,
  address: string,
  { vfToken, withoutIommu = false }: FileOptions = {},
): KernelDevice {
  const { paths } = kernel;
  const name = requirePciDevice(address, paths);
  requireVfioDriver(name, "openDevice", paths);
  const path = withoutIommu ? noiommuCdevPath(name, paths) : vfioCdevPath(name, paths);
  const file = KernelFile.open(kernel, path, (result) =>
    result === -Errno.EBUSY ? busyRemedy(iommuGroupOf(name, paths), paths) : undefined,
  );
  let tie: IommufdDevice;
  try {
    tie = IommufdDevice.bind(file, iommufd, name, vfToken);
    if (attachTo !== undefined) tie.attach(attachTo);
  } catch (error) {
    file.close();
    throw error;
  }
  // The result does not matter, because closing the file, which follows, detaches too.
  const beforeClose = () => void file.attempt(encodeIoctl(detachPageTable));
  const device = new KernelDevice(name, file, { beforeClose });
  ties.set(device, tie);
  return device;
}

function bindError(result: number, file: KernelFile, address: string): VfioError {
  const { paths } = file.kernel;
  const group = iommuGroupOf(address, paths);
  if (describeBlockers(group, paths) !== undefined) return groupNotViable(group, "VFIO_DEVICE_BIND_IOMMUFD", paths);
  const own = file.descriptor("VFIO_DEVICE_BIND_IOMMUFD");
  // EBUSY: the group is in use by its group file. EINVAL: this device is in use. EPERM: another iommufd has the group.
  const used = describeUsers(group, paths, own) !== undefined;
  const remedy = result === -Errno.EBUSY || used ? busyRemedy(group, paths, own) : undefined;
  return systemError(result, "VFIO_DEVICE_BIND_IOMMUFD", { subject: address, remedy });
}
