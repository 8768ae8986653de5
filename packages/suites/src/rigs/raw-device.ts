import type { PciDevice } from "@vfio-selftests/core";
import { errnoName } from "@vfio-selftests/core/errors";
import {
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_IOEVENTFD,
  vfio_device_ioeventfd,
  VFIO_DEVICE_SET_IRQS,
  vfio_irq_set,
} from "@vfio-selftests/core/uapi";
import { deviceFileOf, type KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { native, type NativeIo } from "@vfio-selftests/native";

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
  /** In the device's file. */
  readonly offset: bigint;
  readonly data: bigint;
  readonly fd: number;
  readonly argsz?: number;
}

/** What a call gave, for an `expect`: the name of the errno, or the result itself. */
export function outcome(result: number): number | string {
  return result < 0 ? errnoName(-result) : result;
}

/**
 * A device's file without anything between a test and the kernel, so that requests can be made which the kernel must
 * refuse. Every method gives the kernel's outcome: a result, or the name of an errno.
 */
export class RawDevice {
  readonly #file: KernelFileAccess;
  readonly #device: PciDevice;

  constructor(device: PciDevice) {
    this.#device = device;
    this.#file = deviceFileOf(device.vfio);
  }

  setIrqs({ flags, index, start = 0, count = 1, data = new Uint8Array(0), argsz }: RawIrqSet): number | string {
    const { fields, size } = vfio_irq_set;
    const view = vfio_irq_set.allocate(data.byteLength);
    fields.argsz.set(view, argsz ?? size + data.byteLength);
    fields.flags.set(view, flags);
    fields.index.set(view, index);
    fields.start.set(view, start);
    fields.count.set(view, count);
    view.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), size);
    return this.ioctl("VFIO_DEVICE_SET_IRQS", VFIO_DEVICE_SET_IRQS, view.bytes);
  }

  ioeventfd({ flags, offset, data, fd, argsz = vfio_device_ioeventfd.size }: RawIoeventfd): number | string {
    const { fields } = vfio_device_ioeventfd;
    const view = vfio_device_ioeventfd.allocate();
    fields.argsz.set(view, argsz);
    fields.flags.set(view, flags);
    fields.offset.set(view, offset);
    fields.data.set(view, data);
    fields.fd.set(view, fd);
    return this.ioctl("VFIO_DEVICE_IOEVENTFD", VFIO_DEVICE_IOEVENTFD, view.bytes);
  }

  /** VFIO_DEVICE_FEATURE; `argsz` as it should be by default. */
  feature(flags: number, payload: Uint8Array = new Uint8Array(0), argsz?: number): number | string {
    const { fields, size } = vfio_device_feature;
    const view = vfio_device_feature.allocate(payload.length);
    fields.argsz.set(view, argsz ?? size + payload.length);
    fields.flags.set(view, flags >>> 0);
    view.bytes.set(payload, size);
    return this.ioctl("VFIO_DEVICE_FEATURE", VFIO_DEVICE_FEATURE, view.bytes);
  }

  /** The kernel writes its answer into `argument`. */
  ioctl(name: string, request: number, argument: Uint8Array): number | string {
    return outcome(this.#file.attempt({ name, request, argument }));
  }

  /** `length` bytes of a region; its offset may lie outside. */
  read(region: number, offset: number, length: number): { readonly result: number | string; readonly bytes: Buffer } {
    const bytes = Buffer.alloc(length, 0xee);
    const result = native.pread(this.#file.descriptor("read"), bytes, this.positionOf(region, offset));
    return { result: outcome(result), bytes };
  }

  write(region: number, offset: number, bytes: Uint8Array): number | string {
    return outcome(native.pwrite(this.#file.descriptor("write"), bytes, this.positionOf(region, offset)));
  }

  /** Maps part of a region; the caller unmaps what comes back. */
  map(
    region: number,
    { offset = 0, length = 4096, flags = MAP_SHARED, prot = PROT_READ | PROT_WRITE } = {},
  ): NativeIo | string {
    const fd = this.#file.descriptor("map");
    const mapped = native.mapIo({ fd, length, flags, prot, offset: this.positionOf(region, offset) });
    return typeof mapped === "number" ? errnoName(-mapped) : mapped;
  }

  /** Where a region's byte lies in the device's file. Regions that the kernel does not tell of lie behind those that it does. */
  positionOf(region: number, offset: number): bigint {
    return BigInt(region) * this.#regionStride() + BigInt(offset);
  }

  /** The kernel places regions by their index (VFIO_PCI_INDEX_TO_OFFSET). */
  #regionStride(): bigint {
    return this.#device.vfio.regionInfo(1).offset;
  }
}
