import { type Iommu, type IommuBackend, type VfioDevice, VfioError } from "@vfio-selftests/core";
import { ContainerBackend } from "../container/container-backend";
import { KernelDevice } from "../device/kernel-device";
import type { Iommufd } from "../iommufd/iommufd";
import { IommufdBackend } from "../iommufd/iommufd-backend";
import { type IommufdDevice, tieOf } from "../iommufd/iommufd-device";
import type { KernelFileAccess } from "../kernel/kernel-file";
import type { RawSpace } from "../kernel/raw-space";

/** An `Iommu`, or its back end. */
type AddressSpace = Pick<Iommu, "backend"> | IommuBackend;

/** The iommufd of an address space in mode iommufd. Throws ERR_NOT_SUPPORTED for another mode. */
export function iommufdOf(space: AddressSpace): Iommufd {
  const backend = backendOf(space);
  if (backend instanceof IommufdBackend) return backend.iommufd;
  throw notSupported("iommufdOf", `mode ${backend.mode} has no objects of iommufd`, "use mode iommufd");
}

/** The tie to iommufd of a device opened in mode iommufd. Throws ERR_NOT_SUPPORTED for another. */
export function iommufdDeviceOf(device: VfioDevice): IommufdDevice {
  const tie = tieOf(device);
  if (tie !== undefined) return tie;
  throw notSupported("iommufdDeviceOf", `${device.address} is not bound to an iommufd`, "open it in mode iommufd");
}

/** A kernel address space without the bookkeeping. Throws ERR_NOT_SUPPORTED for one in user space. */
export function rawSpaceOf(space: AddressSpace): RawSpace {
  const backend = backendOf(space);
  if (backend instanceof IommufdBackend || backend instanceof ContainerBackend) return backend;
  throw notSupported("rawSpaceOf", `mode ${backend.mode} has no file of the kernel`, "use a mode on the kernel");
}

/** The file of a kernel device. Throws ERR_NOT_SUPPORTED for one in user space. */
export function deviceFileOf(device: VfioDevice): KernelFileAccess {
  if (device instanceof KernelDevice) return device.file;
  throw notSupported(
    "deviceFileOf",
    `${device.address} is not a device of the kernel`,
    "use a device bound to vfio-pci",
  );
}

function backendOf(space: AddressSpace): IommuBackend {
  return "backend" in space ? space.backend : space;
}

function notSupported(operation: string, problem: string, remedy: string): VfioError {
  return new VfioError(`${operation}: ${problem}`, { code: "ERR_NOT_SUPPORTED", operation, remedy });
}
