import type { OpenDeviceOptions, VfioDevice } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
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
  /** Those opened here; closed ones go when the next is opened. */
  readonly #devices = new Set<VfioDevice>();

  constructor(file: KernelFile) {
    this.#file = file;
    this.ioas = IoAddressSpace.allocate(file);
  }

  /** For ioctls that nothing here makes, and for other threads. */
  get file(): KernelFileAccess {
    return this.#file;
  }

  /** A device bound to the iommufd and attached to nothing yet. It is closed with the `Iommu`, if not before. */
  openDevice(address: string, options: OpenDeviceOptions = {}): VfioDevice {
    const device = openByFile(this.#file.kernel, this.#file, undefined, address, options);
    for (const known of this.#devices) if (known.closed) this.#devices.delete(known);
    this.#devices.add(device);
    return device;
  }

  /** Closes the devices opened here, the last first. Whatever one throws, the others are closed. */
  closeDevices(): void {
    const devices = [...this.#devices].reverse();
    this.#devices.clear();
    closeAll(
      this.#file.name,
      devices.map((device) => () => device.close()),
    );
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
