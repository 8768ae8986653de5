import { DmaMemory, type DmaRegion, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { assertNoInterrupt } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";
import { PAGE_SIZE } from "../memory/page-size";
import { findDriver } from "./find-driver";

const MIB = 1024 ** 2;
const UPSTREAMS_LARGEST_COPY = 512 * MIB;

export interface DriverRigOptions {
  /** The most bytes of each area. Default: the target's, else upstream's. */
  readonly largestCopy?: number;
  /** The least bytes of the region that holds the areas, and of the unmapped one. Default 0: what the areas need. */
  readonly regionBytes?: number;
}

/** One of the two parts of the region between which copies go. */
interface DriverArea {
  readonly iova: bigint;
  readonly bytes: Uint8Array;
  /** IOVA of its byte `offset`. */
  iovaOf(offset: number): bigint;
}

/** A device with its driver at work, two mapped areas to copy between, and one that is not mapped. */
export class DriverRig implements Disposable {
  /** Bytes of each area, whole pages. Four of the driver's largest copies, or the limit: copies then go in chunks. */
  readonly size: number;
  /** Bytes of the largest copy that the driver makes in one piece here. */
  readonly oneCopy: number;
  readonly source: DriverArea;
  readonly destination: DriverArea;
  /** The start of a range of IOVAs, as long as the region, that stays unmapped. */
  readonly unmapped: bigint;
  readonly #memory: DmaMemory;
  readonly #region: DmaRegion;

  /** Skips the test when no driver serves the device. */
  static open(
    target: SuiteTarget,
    mode: IommuMode,
    address: string,
    { largestCopy = target.largestCopy ?? UPSTREAMS_LARGEST_COPY, regionBytes = 0 }: DriverRigOptions = {},
  ): DriverRig {
    const iommu = new Iommu(mode.open());
    try {
      const device = PciDevice.open(iommu, address);
      const session = new DriverSession(findDriver(target, device), device, iommu);
      return new DriverRig(iommu, device, session, largestCopy, regionBytes);
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
    regionBytes: number,
  ) {
    const { maxMemcpySize } = session.limits;
    this.size = Math.ceil(Math.min(4 * maxMemcpySize, largestCopy) / PAGE_SIZE) * PAGE_SIZE;
    this.oneCopy = Math.min(maxMemcpySize, this.size);
    const length = Math.max(regionBytes, 2 * this.size);
    // It is a memfd, so that a device model in another process can map it. It lies on 2 MiB boundaries, so that the
    // kernel can back it with huge pages and the IOMMU needs few entries.
    this.#memory = DmaMemory.allocate(length, { backing: "memfd", alignment: 2 * MIB });
    try {
      this.#region = iommu.map(this.#memory);
      this.source = areaOf(this.#region, 0, this.size);
      this.destination = areaOf(this.#region, this.size, this.size);
      this.unmapped = iommu.reserveIova(length).iova;
    } catch (error) {
      this.#memory.close();
      throw error;
    }
  }

  /** Opens another device in the same address space. The caller closes it. */
  openSecond(address: string): PciDevice {
    return PciDevice.open(this.iommu, address);
  }

  /** Expects that no interrupt came, on any vector that the driver has enabled. */
  expectNoMsi(): void {
    for (const vector of this.device.interrupts.exclusiveInUse()?.enabledVectors ?? []) assertNoInterrupt(vector);
  }

  /** Ends in upstream's order: the driver, the region, the device, the address space. Expects a whole unmap. */
  [Symbol.dispose](): void {
    try {
      this.session.close();
      const { length, mapped } = this.#region;
      if (mapped) expect(this.#region.unmap()).toBe(BigInt(length));
      this.device.close();
    } finally {
      this.iommu.close();
      this.#memory.close();
    }
  }
}

function areaOf(region: DmaRegion, offset: number, length: number): DriverArea {
  const iova = region.iovaOf(offset);
  return {
    iova,
    bytes: region.bytes.subarray(offset, offset + length),
    iovaOf: (within) => region.iovaOf(offset + within),
  };
}
