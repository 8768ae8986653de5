import { DmaMemory, type DmaRegion, Iommu, type IommuBackend, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { VfioError } from "@vfio-selftests/core/errors";
import { noiommuCdevPath } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { type Iommufd, type IommufdDevice, iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";

const MIB = 1024 ** 2;

/** A device without an IOMMU, opened by its own file and attached to an address space, and memory that is mapped there. */
export class NoiommuRig implements Disposable {
  readonly iommu: Iommu;
  readonly iommufd: Iommufd;
  readonly device: PciDevice;
  readonly tie: IommufdDevice;
  /** Pages that lie side by side in the machine's memory: a huge page. */
  readonly memory: DmaMemory;

  /** Skips the test where the device has an IOMMU, or the kernel has no such files. */
  constructor(mode: IommuMode, address: string) {
    requireDeviceFile(address);
    this.iommu = new Iommu(mode.open());
    try {
      this.iommufd = iommufdOf(this.iommu);
      const device = this.iommufd.openDeviceWithoutIommu(address);
      this.tie = iommufdDeviceOf(device);
      this.tie.attach(this.iommufd.ioas);
      this.device = new PciDevice(device);
      this.memory = DmaMemory.allocate(2 * MIB, { backing: "hugetlb-2m" });
    } catch (error) {
      this.iommu.close();
      throw error;
    }
  }

  /** Maps the memory. Returns its region, whose IOVA the device does not know. */
  map(): DmaRegion {
    return this.iommu.map(this.memory);
  }

  /** An address space whose IOVAs are physical addresses, for a driver: it maps nothing, because nothing stands between. */
  physicalSpace(): Iommu {
    return new Iommu(new PhysicalBackend());
  }

  [Symbol.dispose](): void {
    this.device.close();
    this.iommu.close();
    this.memory.close();
  }
}

function requireDeviceFile(address: string): void {
  try {
    noiommuCdevPath(address);
  } catch (error) {
    if (!(error instanceof VfioError) || error.code !== "ENOENT") throw error;
    const [reason = ""] = error.message.split("\n");
    skip({ reason, remedy: error.remedy ?? "vfio-selftests lab run --iommu none" });
  }
}

/** What a driver needs to know of memory, where the device takes physical addresses. */
class PhysicalBackend implements IommuBackend {
  readonly mode = "physical";
  readonly choosesIova = false;

  openDevice(): never {
    throw new Error("the device is open already");
  }

  map(_memory: unknown, _offset: number, _length: number, iova: bigint | undefined): bigint {
    if (iova === undefined) throw new Error("memory has its address already");
    return iova;
  }

  unmap(_iova: bigint, length: bigint): bigint {
    return length;
  }

  unmapAll(): bigint {
    return 0n;
  }

  iovaRanges(): readonly { start: bigint; last: bigint }[] {
    return [{ start: 0n, last: (1n << 64n) - 1n }];
  }

  pageSizes(): bigint {
    return 4096n;
  }

  close(): void {
    // Nothing is open.
  }
}
