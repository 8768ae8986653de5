import type {
  DeviceInfo,
  HotResetInfo,
  IrqInfo,
  PayloadLink,
  RegionArea,
  RegionInfo,
  SetIrqs,
  VfioDevice,
} from "@vfio-selftests/core";
import {
  DeviceBooks,
  hugePageAlignment,
  type IoMapping,
  type MapRegionOptions,
  tooFewVectors,
} from "@vfio-selftests/core/backend";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import type { MigrationData } from "@vfio-selftests/core/migration";
import { MADV_HUGEPAGE } from "@vfio-selftests/core/uapi";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelFile } from "../kernel/kernel-file";
import { deviceFeature, getInfo, getIrqInfo, getRegionInfo, resetDevice, setIrqs } from "../requests/device";
import { makeHotReset, readHotResetInfo } from "./hot-reset";
import { MigrationFile } from "./migration-file";

/** What a mode adds to a device that it opens. */
export interface KernelDeviceOptions {
  /** The device's group, in modes on containers: it proves ownership in a hot reset. */
  readonly group?: KernelFile;
  /** Called before the device's file is closed: detaches from the address space. */
  readonly beforeClose?: () => void;
  /** Called after the device's file is closed: lets go of the group. */
  readonly afterClose?: () => void;
}

/** A device that the kernel's VFIO drives: every operation is an ioctl, a read, a write or an mmap on one file. */
export class KernelDevice implements VfioDevice {
  readonly address: string;
  readonly info: DeviceInfo;
  /** The device's file, for ioctls that nothing here makes. */
  readonly file: KernelFile;
  /** The device's group, in modes on containers: it proves ownership in a hot reset. */
  readonly group: KernelFile | undefined;
  readonly #options: KernelDeviceOptions;
  readonly #books: DeviceBooks;

  /** Owns the file from now on, even if the constructor throws. */
  constructor(address: string, file: KernelFile, options: KernelDeviceOptions = {}) {
    this.address = address;
    this.file = file;
    this.group = options.group;
    this.#options = options;
    try {
      this.info = file.ask(getInfo, address);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#books = new DeviceBooks(address, this.info, {
      region: (index) => ({ info: file.askForChain(getRegionInfo, `${address}, region ${index}`, index) }),
      irq: (index) => file.ask(getIrqInfo, `${address}, interrupt index ${index}`, index),
    });
  }

  get closed(): boolean {
    return this.#books.closed;
  }

  regionInfo(index: number): RegionInfo {
    return this.#books.region("regionInfo", index).info;
  }

  irqInfo(index: number): IrqInfo {
    return this.#books.irq("irqInfo", index);
  }

  readRegion(index: number, offset: number, into: Uint8Array): void {
    this.#transfer("pread", index, offset, into);
  }

  writeRegion(index: number, offset: number, from: Uint8Array): void {
    this.#transfer("pwrite", index, offset, from);
  }

  mapRegion(index: number, area: RegionArea, options: MapRegionOptions = {}): IoMapping {
    const { calls } = this.file.kernel;
    const pageSize = calls.pageSize();
    const natural = hugePageAlignment(area.size);
    return this.#books.map(index, area, options, (_region, request) =>
      calls.mapIo({
        ...request,
        fd: this.file.descriptor("mapRegion"),
        length: Math.ceil(area.size / pageSize) * pageSize,
        alignment: options.alignment ?? natural,
        ...(natural > 0 ? { advice: MADV_HUGEPAGE } : {}),
      }),
    );
  }

  setIrqs(request: SetIrqs): void {
    this.#books.requireOpen("VFIO_DEVICE_SET_IRQS");
    const possible = this.file.make(encodeIoctl(setIrqs, request), `${this.address}, interrupt index ${request.index}`);
    if (possible > 0) throw tooFewVectors(this.address, request.index, request.count, possible);
  }

  reset(): void {
    this.#books.requireOpen("VFIO_DEVICE_RESET");
    this.file.make(resetDevice(), this.address);
  }

  feature(flags: number, payload: Uint8Array, links: readonly PayloadLink[] = []): Uint8Array {
    this.#books.requireOpen("VFIO_DEVICE_FEATURE");
    return this.file.ask(deviceFeature, `${this.address}, feature ${flags & 0xffff}`, flags, payload, links);
  }

  openMigrationData(fd: number): MigrationData {
    return new MigrationFile(fd, this.address, this.file.kernel.calls);
  }

  hotResetInfo(): HotResetInfo {
    this.#books.requireOpen("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO");
    return readHotResetInfo(this.file, this.address);
  }

  /** The groups of `owned` prove ownership. Devices opened by their files need no proof. */
  hotReset(owned: readonly VfioDevice[]): void {
    this.#books.requireOpen("VFIO_DEVICE_PCI_HOT_RESET");
    const groups = owned.flatMap((device) => (device instanceof KernelDevice ? (device.group ?? []) : []));
    makeHotReset(this.file, this.address, [...new Set(groups)]);
  }

  /**
   * Unmaps the BARs, detaches from the address space and closes the file. Idempotent. Throws ERR_STILL_MAPPED, and
   * leaves the device open, when one of its BARs is mapped for DMA.
   */
  close(): void {
    this.#books.close(
      () => this.#options.beforeClose?.(),
      () => this.file.close(),
      () => this.#options.afterClose?.(),
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #transfer(operation: "pread" | "pwrite", index: number, offset: number, bytes: Uint8Array): void {
    const { info } = this.#books.extent(operation, index, offset, bytes.length);
    const { calls } = this.file.kernel;
    const start = info.offset + BigInt(offset);
    for (let done = 0; done < bytes.length;) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const count = calls[operation](this.file.descriptor(operation), rest, done === 0 ? start : start + BigInt(done));
      // No progress means that the device does not answer there.
      if (count <= 0) {
        throw systemError(count === 0 ? -Errno.EIO : count, operation, {
          subject: `${this.address} region ${index} + 0x${(offset + done).toString(16)}`,
        });
      }
      done += count;
    }
  }
}
