import { DmaMemory, type DmaRegion, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { assertNoInterrupt } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../suite-target";
import { findDriver } from "./find-driver";
import { PAGE_SIZE } from "./page-size";

const MIB = 1024 ** 2;
const UPSTREAMS_LARGEST_COPY = 512 * MIB;

export interface DriverRigOptions {
  /** Bytes of each area at most; default: the target's, else upstream's. */
  readonly largestCopy?: number;
}

/** A device with its driver at work, two mapped areas to copy between, and one that is not mapped. */
export class DriverRig implements Disposable {
  /** Bytes of each area, whole pages: four of the driver's largest copies, so that copies go in chunks, if that is not too much. */
  readonly size: number;
  /** Bytes of the largest copy that is possible in one piece here. */
  readonly oneCopy: number;
  readonly source: DmaRegion;
  readonly destination: DmaRegion;
  /** Start of `size` bytes of IOVA that stay unmapped. */
  readonly unmapped: bigint;
  readonly #memory: DmaMemory;

  /** Skips the test when no driver serves the device. */
  static open(
    target: SuiteTarget,
    mode: IommuMode,
    address: string,
    { largestCopy = target.largestCopy ?? UPSTREAMS_LARGEST_COPY }: DriverRigOptions = {},
  ): DriverRig {
    const iommu = new Iommu(mode.open());
    try {
      const device = PciDevice.open(iommu, address);
      const session = new DriverSession(findDriver(target, device), device, iommu);
      return new DriverRig(iommu, device, session, largestCopy);
    } catch (error) {
      iommu.close();
      throw error;
    }
  }

  private constructor(
    readonly iommu: Iommu,
    readonly device: PciDevice,
    readonly session: DriverSession,
    largestCopy: number,
  ) {
    const { maxMemcpySize } = session.limits;
    this.size = Math.ceil(Math.min(4 * maxMemcpySize, largestCopy) / PAGE_SIZE) * PAGE_SIZE;
    this.oneCopy = Math.min(maxMemcpySize, this.size);
    // A memfd, so that a device model in another process can map it; on 2 MiB boundaries, so that the kernel can back it
    // with huge pages and the IOMMU has few entries.
    this.#memory = DmaMemory.allocate(2 * this.size, { backing: "memfd", alignment: 2 * MIB });
    this.source = iommu.map(this.#memory, { length: this.size });
    this.destination = iommu.map(this.#memory, { offset: this.size, length: this.size });
    this.unmapped = iommu.reserveIova(this.size).iova;
  }

  /** Another device in the same address space; the caller closes it. */
  openSecond(address: string): PciDevice {
    return PciDevice.open(this.iommu, address);
  }

  /** No interrupt came, of any vector that the driver has enabled. */
  expectNoMsi(): void {
    for (const vector of this.device.interrupts.exclusiveInUse()?.enabledVectors ?? []) assertNoInterrupt(vector);
  }

  [Symbol.dispose](): void {
    try {
      this.session.close();
      this.device.close();
    } finally {
      this.iommu.close();
      this.#memory.close();
    }
  }
}
