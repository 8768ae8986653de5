import type { OpenDeviceOptions, VfioDevice } from "@vfio-selftests/core";
import { closeAll, OwnedHandles } from "@vfio-selftests/core/backend";
import type { KernelFile, KernelFileAccess } from "../kernel/kernel-file";
import { FaultQueue } from "./fault-queue";
import { HardwarePageTable, type HardwarePageTableOptions } from "./hardware-page-table";
import { IoAddressSpace } from "./io-address-space";
import { openByFile } from "./iommufd-device";

/**
 * iommufd's objects, beyond the modes' common ground. This object belongs to an `Iommu` in mode iommufd. Its objects
 * belong to it, too: they are gone when the `Iommu` closes.
 */
export class Iommufd {
  /** The address space of the `Iommu`. */
  readonly ioas: IoAddressSpace;
  readonly #file: KernelFile;
  readonly #devices = new OwnedHandles<VfioDevice>();

  /** Allocates the address space. The file stays the caller's. */
  constructor(file: KernelFile) {
    this.#file = file;
    this.ioas = IoAddressSpace.allocate(file);
  }

  /** For ioctls that nothing here makes, and for other threads. */
  get file(): KernelFileAccess {
    return this.#file;
  }

  /** Opens a device bound to the iommufd and attached to nothing yet. It closes with the `Iommu`, if not before. */
  openDevice(address: string, options: OpenDeviceOptions = {}): VfioDevice {
    return this.#devices.add(openByFile(this.#file.kernel, this.#file, undefined, address, options));
  }

  /**
   * Opens a device that has no IOMMU, bound to the iommufd and attached to nothing yet (`iommufdDeviceOf(device).attach`). It
   * reads and writes the machine's memory by physical addresses, whatever is mapped: nothing protects the kernel and other
   * programs from it. `IoAddressSpace.physicalRange` tells the addresses of what is mapped, and so pinned, in an address space
   * that the device is attached to. Needs CAP_SYS_RAWIO, and taints the kernel. Throws ENOENT for a device with an IOMMU.
   */
  openDeviceWithoutIommu(address: string): VfioDevice {
    return this.#devices.add(openByFile(this.#file.kernel, this.#file, undefined, address, { withoutIommu: true }));
  }

  /** Closes the devices opened here, the last one first. It closes all of them, whatever one throws. */
  closeDevices(): void {
    closeAll(this.#file.name, this.#devices.closing());
  }

  /** Makes a further address space, empty. */
  newIoas(): IoAddressSpace {
    return IoAddressSpace.allocate(this.#file);
  }

  /** Makes a queue that receives the page requests of page tables made with it. */
  newFaultQueue(): FaultQueue {
    return FaultQueue.allocate(this.#file);
  }

  /** Makes a page table of the IOMMU as an object of its own. */
  newPageTable(options: HardwarePageTableOptions): HardwarePageTable {
    return HardwarePageTable.allocate(this.#file, options);
  }
}
