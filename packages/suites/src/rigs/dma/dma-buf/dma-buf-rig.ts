import type { Iommu, PciDevice } from "@vfio-selftests/core";
import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { pciDevice } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_FEATURE_DMA_BUF,
  vfio_device_feature_dma_buf,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  vfio_region_dma_range,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { iommufdOf } from "@vfio-selftests/iommu-modes";
import { encodeIoctl, iommufd as requests } from "@vfio-selftests/iommu-modes/requests";
import { ioPageTableEntry } from "../../iommu/io-page-table";
import { requireBrought } from "../../kernel/brought-by-linux";
import { isOff } from "../../kernel/kernel-option";
import { PAGE_SIZE } from "../../memory/page-size";
import { outcome } from "../../raw/ask-kernel";
import { RawDevice } from "../../raw/raw-device";

const GET = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET;
const OPTION = "CONFIG_VFIO_PCI_DMABUF";
/** fcntl.h */
export const O_CLOEXEC = 0o2000000;
/** Where a dma-buf is mapped, and how many pages of it, unless the test says otherwise. */
export const IOVA = 0x4000_0000n;
export const PAGES = 4;

export interface Range {
  readonly offset: number | bigint;
  readonly length: number | bigint;
}

export interface ExportRequest {
  readonly region: number;
  readonly ranges: readonly Range[];
  readonly flags?: number;
  /** Of the descriptor. Default: closed when another program is executed. */
  readonly openFlags?: number;
  /** The number that the structure gives. Default: the number of `ranges`. */
  readonly rangeCount?: number;
}

/** Part of a dma-buf, and where it is to be. */
export interface MapRequest {
  readonly start?: number;
  readonly length?: number;
  readonly iova?: bigint;
  readonly access?: "read-write" | "read";
}

/** Skips the test on a kernel that is too old to give dma-bufs of BARs, or was built without them. */
export function requireDmaBufs(device: RawDevice): void {
  if (device.feature(GET | VFIO_DEVICE_FEATURE_PROBE, new Uint8Array()) === 0) return;
  requireBrought("VFIO_DEVICE_FEATURE_DMA_BUF", () => false);
  if (!isOff(OPTION)) return;
  skip({ reason: `this kernel has no ${OPTION}`, remedy: "use one with PCI_P2PDMA, which brings it" });
}

/** A device, its dma-bufs, and the IOVAs at which they are mapped. */
export class DmaBufRig implements Disposable {
  readonly device: PciDevice;
  readonly bar: PciDevice["bars"][number];
  readonly iommu: Iommu;
  readonly #raw: RawDevice;
  readonly #buffers: OwnedDescriptor[] = [];

  constructor(iommu: Iommu, device: PciDevice) {
    const bar = device.bars.find(({ mappable, size }) => mappable && size >= 8 * PAGE_SIZE);
    if (bar === undefined) skip({ reason: "no BAR of eight pages can be mapped", remedy: "use a device with one" });
    this.iommu = iommu;
    this.device = device;
    this.bar = bar;
    this.#raw = new RawDevice(device);
    requireDmaBufs(this.#raw);
  }

  /** Returns a descriptor, or the name of an errno. */
  tryExport(request: ExportRequest): number | string {
    const { region, ranges, flags = 0, openFlags = O_CLOEXEC, rangeCount = ranges.length } = request;
    const { fields, size } = vfio_device_feature_dma_buf;
    const view = vfio_device_feature_dma_buf.allocate(ranges.length * vfio_region_dma_range.size);
    fields.region_index.set(view, region);
    fields.open_flags.set(view, openFlags);
    fields.flags.set(view, flags);
    fields.nr_ranges.set(view, rangeCount);
    ranges.forEach(({ offset, length }, number) => {
      const at = (size + number * vfio_region_dma_range.size) / 8;
      view.u64[at] = BigInt(offset);
      view.u64[at + 1] = BigInt(length);
    });
    const result = this.#raw.feature(GET, view.bytes);
    if (typeof result === "number") this.#buffers.push(new OwnedDescriptor(result, "dma-buf"));
    return result;
  }

  export(request: ExportRequest): number {
    const result = this.tryExport(request);
    if (typeof result === "string") throw new Error(`the kernel did not export the BAR: ${result}`);
    return result;
  }

  map(
    fd: number,
    { start = 0, length = PAGES * PAGE_SIZE, iova = IOVA, access = "read-write" }: MapRequest = {},
  ): number | string {
    const { file, ioas } = iommufdOf(this.iommu);
    const request = encodeIoctl(requests.ioasMapFile, ioas.id, access, fd, start, iova, length);
    return outcome(file.attempt(request));
  }

  unmap(): bigint {
    return iommufdOf(this.iommu).ioas.unmap(IOVA, BigInt(PAGES * PAGE_SIZE));
  }

  /** The physical address to which the IOMMU leads each page. Skips the test where the kernel does not show it. */
  pages(): (bigint | undefined)[] {
    return this.#entries().map(({ physical }) => physical);
  }

  /** Whether the device may write each page. Skips the test as {@link pages} does. */
  writable(): (boolean | undefined)[] {
    return this.#entries().map(({ writable }) => writable);
  }

  /** Physical address of a page of the BAR. */
  physical(page: number): bigint {
    const start = pciDevice(this.device.address).resources[this.bar.index]?.start ?? 0n;
    return start + BigInt(page * PAGE_SIZE);
  }

  #entries() {
    return Array.from({ length: PAGES }, (_, page) => {
      const entry = ioPageTableEntry(this.device.address, IOVA + BigInt(page * PAGE_SIZE));
      if (entry.readable) return entry;
      skip({ reason: entry.reason, remedy: "use the lab with an Intel IOMMU: vfio-selftests lab run --iommu intel" });
    });
  }

  /** Closes all dma-bufs. */
  closeBuffers(): void {
    for (const buffer of this.#buffers.splice(0)) buffer.close();
  }

  [Symbol.dispose](): void {
    this.closeBuffers();
    if (!this.device.closed) this.device.close();
  }
}
