import type { KernelFile } from "../kernel/kernel-file";
import { hwptAlloc } from "../requests/iommufd";
import type { FaultQueue } from "./fault-queue";
import type { IoAddressSpace } from "./io-address-space";
import { IommufdObject } from "./iommufd-object";

/** What IOMMU_HWPT_ALLOC takes (include/uapi/linux/iommufd.h). */
export interface HardwarePageTableOptions {
  /** The device whose IOMMU needs the table, by iommufd's id. */
  readonly device: { readonly id: number };
  /** The address space whose mappings it holds. */
  readonly ioas: IoAddressSpace;
  /** Takes the page requests of the attached devices. */
  readonly faultQueue?: FaultQueue;
}

/** A page table of the IOMMU (HWPT) as an object of its own. Devices attach to it. Detach them before `close`. */
export class HardwarePageTable extends IommufdObject {
  /** IOMMU_HWPT_ALLOC for the device and the address space. Throws VfioError with the kernel's errno. */
  static allocate(iommufd: KernelFile, { device, ioas, faultQueue }: HardwarePageTableOptions): HardwarePageTable {
    const subject = `device ${device.id}, ${ioas.name}`;
    const objects = [ioas.idIn(iommufd), faultQueue?.idIn(iommufd)] as const;
    return new HardwarePageTable(iommufd, iommufd.ask(hwptAlloc, subject, device.id, ...objects));
  }

  private constructor(iommufd: KernelFile, id: number) {
    super(iommufd, id, "page table");
  }
}
