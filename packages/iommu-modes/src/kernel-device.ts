import type { DeviceInfo, IrqInfo, RegionArea, RegionInfo, SetIrqs, VfioDevice } from "@vfio-selftests/core";
import { IoMapping } from "@vfio-selftests/core/backend";
import { argumentError, closedError, systemError } from "@vfio-selftests/core/errors";
import {
  decodeIrqInfo,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_device_feature,
  vfio_device_info,
  vfio_irq_info,
  PROT_READ,
  PROT_WRITE,
  MAP_SHARED,
  MADV_HUGEPAGE,
} from "@vfio-selftests/core/uapi";
import { encodeSetIrqs } from "./irq-set";
import { ioctl, type KernelEnvironment, type Request } from "./kernel-calls";
import { readRegionInfo } from "./region-info";

/** What a mode adds to a device it opened. */
export interface KernelDeviceOptions {
  readonly groupFd?: number;
  readonly iommufdDeviceId?: number;
  /** Called before the device's file is closed: detaches from the address space. */
  readonly beforeClose?: () => void;
  /** Called after the device's file is closed: lets go of the group. */
  readonly afterClose?: () => void;
}

const MAX_DMA_PAGE = 2 ** 30;

/** A device that the kernel's VFIO drives: every operation is an ioctl, a read, a write or an mmap on one file. */
export class KernelDevice implements VfioDevice {
  readonly info: DeviceInfo;
  readonly groupFd?: number;
  readonly iommufdDeviceId?: number;
  readonly #kernel: KernelEnvironment;
  readonly #options: KernelDeviceOptions;
  readonly #regions = new Map<number, RegionInfo>();
  readonly #irqs = new Map<number, IrqInfo>();
  readonly #mappings = new Set<IoMapping>();
  #closed = false;

  /** Takes over `fd`, also when the constructor throws. */
  constructor(
    readonly address: string,
    readonly fd: number,
    kernel: KernelEnvironment,
    options: KernelDeviceOptions = {},
  ) {
    this.#kernel = kernel;
    this.#options = options;
    if (options.groupFd !== undefined) this.groupFd = options.groupFd;
    if (options.iommufdDeviceId !== undefined) this.iommufdDeviceId = options.iommufdDeviceId;
    try {
      this.info = this.#readInfo();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  regionInfo(index: number): RegionInfo {
    const known = this.#regions.get(index);
    if (known !== undefined) return known;
    this.#requireOpen("regionInfo");
    this.#requireIndex("region", index, this.info.regionCount);
    const info = readRegionInfo(this.#kernel, this.fd, this.address, index);
    this.#regions.set(index, info);
    return info;
  }

  irqInfo(index: number): IrqInfo {
    const known = this.#irqs.get(index);
    if (known !== undefined) return known;
    this.#requireIndex("interrupt", index, this.info.irqCount);
    const fields = vfio_irq_info.fields;
    const view = vfio_irq_info.allocate();
    fields.argsz.set(view, vfio_irq_info.size);
    fields.index.set(view, index);
    this.#ioctl({ VFIO_DEVICE_GET_IRQ_INFO }, `interrupt index ${index}`, view.bytes);
    const info = decodeIrqInfo(index, view);
    this.#irqs.set(index, info);
    return info;
  }

  readRegion(index: number, offset: number, into: Uint8Array): void {
    this.#transfer("pread", index, offset, into);
  }

  writeRegion(index: number, offset: number, from: Uint8Array): void {
    this.#transfer("pwrite", index, offset, from);
  }

  mapRegion(
    index: number,
    area: RegionArea,
    options: { alignment?: number; alignmentOffset?: number } = {},
  ): IoMapping {
    const region = this.regionInfo(index);
    this.#requireOpen("mapRegion");
    const inside = region.mappableAreas.some(
      ({ offset, size }) => area.size > 0 && area.offset >= offset && area.offset + area.size <= offset + size,
    );
    if (!inside) {
      const allowed = region.mappableAreas.map(
        ({ offset, size }) => `0x${offset.toString(16)} + 0x${size.toString(16)}`,
      );
      throw argumentError(
        `mapRegion of region ${index}`,
        "area",
        `0x${area.offset.toString(16)} + 0x${area.size.toString(16)}`,
        allowed.length === 0 ? "none: the region cannot be mapped, use readRegion and writeRegion" : allowed.join(", "),
      );
    }
    const pageSize = this.#kernel.calls.pageSize();
    // Huge pages in the process's and the IOMMU's tables need an address that is aligned like the BAR.
    const natural = Math.min(2 ** Math.floor(Math.log2(area.size)), MAX_DMA_PAGE);
    const io = this.#kernel.calls.mapIo({
      fd: this.fd,
      length: Math.ceil(area.size / pageSize) * pageSize,
      prot: (region.readable ? PROT_READ : 0) | (region.writable ? PROT_WRITE : 0),
      flags: MAP_SHARED,
      offset: region.offset + BigInt(area.offset),
      alignment: options.alignment ?? (natural > pageSize ? natural : 0),
      alignmentOffset: options.alignmentOffset ?? 0,
      advice: MADV_HUGEPAGE,
    });
    const name = `${this.address} region ${index}`;
    if (typeof io === "number") throw systemError(io, "mmap", { subject: `${name}, ${area.size} bytes` });
    const mapping = new IoMapping(io, name, (closed) => this.#mappings.delete(closed));
    this.#mappings.add(mapping);
    return mapping;
  }

  setIrqs(request: SetIrqs): void {
    this.#ioctl({ VFIO_DEVICE_SET_IRQS }, `interrupt index ${request.index}`, encodeSetIrqs(request));
  }

  reset(): void {
    this.#ioctl({ VFIO_DEVICE_RESET });
  }

  feature(flags: number, payload: Uint8Array): Uint8Array {
    const fields = vfio_device_feature.fields;
    const view = vfio_device_feature.allocate(payload.length);
    fields.argsz.set(view, view.bytes.length);
    fields.flags.set(view, flags);
    view.bytes.set(payload, vfio_device_feature.size);
    this.#ioctl({ VFIO_DEVICE_FEATURE }, `feature ${flags & 0xffff}`, view.bytes);
    return view.bytes.slice(vfio_device_feature.size);
  }

  /**
   * Unmaps the BARs, detaches from the address space and closes the file; idempotent. Throws ERR_STILL_MAPPED, leaving
   * the device open, when one of its BARs is mapped for DMA.
   */
  close(): void {
    if (this.#closed) return;
    for (const mapping of [...this.#mappings]) mapping.close();
    this.#closed = true;
    this.#options.beforeClose?.();
    this.#kernel.calls.close(this.fd);
    this.#options.afterClose?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #readInfo(): DeviceInfo {
    const fields = vfio_device_info.fields;
    const view = vfio_device_info.allocate();
    fields.argsz.set(view, vfio_device_info.size);
    this.#ioctl({ VFIO_DEVICE_GET_INFO }, this.address, view.bytes);
    const flags = fields.flags.get(view);
    return {
      flags,
      regionCount: fields.num_regions.get(view),
      irqCount: fields.num_irqs.get(view),
      resettable: (flags & VFIO_DEVICE_FLAGS_RESET) !== 0,
    };
  }

  #transfer(operation: "pread" | "pwrite", index: number, offset: number, bytes: Uint8Array): void {
    const region = this.regionInfo(index);
    this.#requireOpen(operation);
    if (!Number.isInteger(offset) || offset < 0 || offset + bytes.length > region.size) {
      throw argumentError(`${operation} of region ${index}`, "offset", offset, `0 to ${region.size - bytes.length}`);
    }
    const start = region.offset + BigInt(offset);
    for (let done = 0; done < bytes.length;) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const count = this.#kernel.calls[operation](this.fd, rest, done === 0 ? start : start + BigInt(done));
      // No progress means that the device does not answer there.
      if (count <= 0) {
        throw systemError(count === 0 ? -5 : count, operation, {
          subject: `${this.address} region ${index} + 0x${(offset + done).toString(16)}`,
        });
      }
      done += count;
    }
  }

  #ioctl(request: Request, subject = "", argument?: Uint8Array): void {
    this.#requireOpen(Object.keys(request)[0] ?? "ioctl");
    ioctl(this.#kernel, this.fd, request, subject === "" ? this.address : `${this.address}, ${subject}`, argument);
  }

  #requireOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, this.address);
  }

  #requireIndex(what: string, index: number, count: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw argumentError(this.address, `${what} index`, index, count === 0 ? "none" : `0 to ${count - 1}`);
    }
  }
}
