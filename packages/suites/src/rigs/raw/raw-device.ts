import type { PciDevice } from "@vfio-selftests/core";
import { errnoName } from "@vfio-selftests/core/errors";
import {
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  type StructLayout,
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_IOEVENTFD,
  vfio_device_ioeventfd,
  VFIO_DEVICE_SET_IRQS,
  vfio_irq_set,
} from "@vfio-selftests/core/uapi";
import { deviceFileOf, type KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { native, type NativeIo } from "@vfio-selftests/native";
import { askKernel, outcome } from "./ask-kernel";

/** VFIO_DEVICE_SET_IRQS, field by field. */
export interface RawIrqSet {
  /** VFIO_IRQ_SET_DATA_* and VFIO_IRQ_SET_ACTION_*. */
  readonly flags: number;
  readonly index: number;
  readonly start?: number;
  readonly count?: number;
  /** Eventfds for DATA_EVENTFD, bytes for DATA_BOOL. */
  readonly data?: Int32Array | Uint8Array;
  /** Default: the whole structure. */
  readonly argsz?: number;
}

/** VFIO_DEVICE_IOEVENTFD, field by field. */
export interface RawIoeventfd {
  /** VFIO_DEVICE_IOEVENTFD_*: the width. */
  readonly flags: number;
  /** Offset in the device's file. */
  readonly offset: bigint;
  readonly data: bigint;
  readonly fd: number;
  readonly argsz?: number;
}

/**
 * A device's file with nothing between a test and the kernel, for requests that the kernel must refuse. Every method
 * returns the kernel's outcome: a result, or the name of an errno.
 */
export class RawDevice {
  readonly #file: KernelFileAccess;
  readonly #device: PciDevice;

  constructor(device: PciDevice) {
    this.#device = device;
    this.#file = deviceFileOf(device.vfio);
  }

  setIrqs({ flags, index, start = 0, count = 1, data, argsz }: RawIrqSet): number | string {
    const values = { flags, index, start, count };
    return this.#ask({ VFIO_DEVICE_SET_IRQS }, vfio_irq_set, values, data, argsz);
  }

  ioeventfd({ flags, offset, data, fd, argsz }: RawIoeventfd): number | string {
    const values = { flags, offset, data, fd };
    return this.#ask({ VFIO_DEVICE_IOEVENTFD }, vfio_device_ioeventfd, values, undefined, argsz);
  }

  /** VFIO_DEVICE_FEATURE. `argsz` is correct by default. */
  feature(flags: number, payload?: Uint8Array, argsz?: number): number | string {
    return this.#ask({ VFIO_DEVICE_FEATURE }, vfio_device_feature, { flags }, payload, argsz);
  }

  /** Makes any ioctl. The kernel writes its answer into `argument`. */
  ioctl(name: string, request: number, argument: Uint8Array): number | string {
    return outcome(this.#file.attempt({ name, request, argument }));
  }

  /** Reads `length` bytes of a region. The offset may lie outside. */
  read(region: number, offset: number, length: number): { readonly result: number | string; readonly bytes: Buffer } {
    const bytes = Buffer.alloc(length, 0xee);
    const result = native.pread(this.#file.descriptor("read"), bytes, this.positionOf(region, offset));
    return { result: outcome(result), bytes };
  }

  write(region: number, offset: number, bytes: Uint8Array): number | string {
    return outcome(native.pwrite(this.#file.descriptor("write"), bytes, this.positionOf(region, offset)));
  }

  /** Maps part of a region. The caller unmaps it. */
  map(
    region: number,
    { offset = 0, length = 4096, flags = MAP_SHARED, prot = PROT_READ | PROT_WRITE } = {},
  ): NativeIo | string {
    const fd = this.#file.descriptor("map");
    const mapped = native.mapIo({ fd, length, flags, prot, offset: this.positionOf(region, offset) });
    return typeof mapped === "number" ? errnoName(-mapped) : mapped;
  }

  /** The offset of a region's byte in the device's file, even for regions that the kernel does not have. */
  positionOf(region: number, offset: number): bigint {
    return BigInt(region) * this.#regionStride() + BigInt(offset);
  }

  /** The kernel places regions by their index (VFIO_PCI_INDEX_TO_OFFSET). */
  #regionStride(): bigint {
    return this.#device.vfio.regionInfo(1).offset;
  }

  #ask<const Known extends StructLayout["fields"]>(
    named: Readonly<Record<string, number>>,
    layout: StructLayout<Known>,
    values: Parameters<typeof askKernel<Known>>[3],
    data: ArrayBufferView | undefined,
    said: number | undefined,
  ): number | string {
    const options = { ...(data !== undefined && { data }), ...(said !== undefined && { said }) };
    return outcome(askKernel(this.#file, named, layout, values, options).result);
  }
}
