import type { OpenDeviceOptions, VfioDevice } from "@vfio-selftests/core";
import type { KernelFile, KernelFileAccess } from "../kernel/kernel-file";
import { FaultQueue } from "./fault-queue";
import { HardwarePageTable, type HardwarePageTableOptions } from "./hardware-page-table";
import { IoAddressSpace } from "./io-address-space";
import { openByFile } from "./iommufd-device";

/**
 * What iommufd has beyond the modes' common ground: its objects. Belongs to an `Iommu` in mode iommufd, and its objects
 * belong to it: they are gone when the `Iommu` is closed.
 */
export class Iommufd {
  /** The address space of the `Iommu`. */
  readonly ioas: IoAddressSpace;
  readonly #file: KernelFile;

  constructor(file: KernelFile) {
    this.#file = file;
    this.ioas = IoAddressSpace.allocate(file);
  }

  /** For ioctls that nothing here makes, and for other threads. */
  get file(): KernelFileAccess {
    return this.#file;
  }

  /** A device bound to the iommufd and attached to nothing yet; the caller closes it, before the `Iommu`. */
  openDevice(address: string, options: OpenDeviceOptions = {}): VfioDevice {
    return openByFile(this.#file.kernel, this.#file, undefined, address, options);
  }

  /** A further address space, empty. */
  newIoas(): IoAddressSpace {
    return IoAddressSpace.allocate(this.#file);
  }

  newFaultQueue(): FaultQueue {
    return FaultQueue.allocate(this.#file);
  }

  newPageTable(options: HardwarePageTableOptions): HardwarePageTable {
    return HardwarePageTable.allocate(this.#file, options);
  }
}
