import {
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  vfio_device_info,
  VFIO_DEVICE_SET_IRQS,
  vfio_irq_set,
  vfio_region_info,
} from "@vfio-selftests/core/uapi";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { askKernel, type AskOptions, outcome } from "../raw/ask-kernel";

/** Regions of the card: a port of eight registers each, and configuration space. */
export const CONFIG_REGION = 7;
/** Registers of a port (linux/serial_reg.h): a byte sent comes back as one received. */
export const DATA = 0;
export const INTERRUPT_ENABLE = 1;
export const FIFO_CONTROL = 2;
export const LINE_STATUS = 5;
export const SCRATCH = 7;
/** Interrupt when the transmitter is empty. */
export const TRANSMITTER_EMPTY = 2;
export const FIFO_ON = 1;
/** Bits of LINE_STATUS. */
export const DATA_READY = 1;
const TRANSMIT_EMPTY = 0x60;
export const IDLE = TRANSMIT_EMPTY;

/** What VFIO_DEVICE_FEATURE said, and the payload as the kernel left it. */
export interface FeatureAnswer {
  readonly code: string;
  readonly payload: Uint8Array;
}

/** An open serial card; owns its file. */
export class SerialCard implements Disposable {
  readonly file: KernelFile;

  /** The kernel checks an interrupt's index against what VFIO_DEVICE_GET_INFO told, so that it is asked first. */
  constructor(file: KernelFile) {
    this.file = file;
    expect(askKernel(file, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {}).code).toBe("ok");
  }

  regionSize(index: number): bigint {
    return this.#region(index).size;
  }

  read(region: number, offset: number, length = 1): Uint8Array {
    const bytes = new Uint8Array(length);
    const count = native.pread(this.file.descriptor("read"), bytes, this.#region(region).offset + BigInt(offset));
    expect(outcome(count)).toBe(length);
    return bytes;
  }

  write(region: number, offset: number, ...bytes: number[]): void {
    const from = Uint8Array.from(bytes);
    const count = native.pwrite(this.file.descriptor("write"), from, this.#region(region).offset + BigInt(offset));
    expect(outcome(count)).toBe(bytes.length);
  }

  setIrqs(flags: number, index: number, count: number, data: ArrayBufferView = new Uint8Array(0)): string {
    const values = { flags, index, start: 0, count };
    return askKernel(this.file, { VFIO_DEVICE_SET_IRQS }, vfio_irq_set, values, { data }).code;
  }

  /** `links`: by their offset in the payload, what the kernel finds there. */
  feature(
    flags: number,
    data: Uint8Array = new Uint8Array(0),
    links: Readonly<Record<number, Uint8Array>> = {},
  ): FeatureAnswer {
    const pairs = Object.entries(links).flatMap(([at, bytes]) => [vfio_device_feature.size + Number(at), bytes]);
    const options: AskOptions = { data, links: pairs };
    const { code, view } = askKernel(this.file, { VFIO_DEVICE_FEATURE }, vfio_device_feature, { flags }, options);
    return { code, payload: view.bytes.subarray(vfio_device_feature.size) };
  }

  [Symbol.dispose](): void {
    this.file.close();
  }

  #region(index: number): { size: bigint; offset: bigint } {
    const { code, view } = askKernel(this.file, { VFIO_DEVICE_GET_REGION_INFO }, vfio_region_info, { index });
    expect(code).toBe("ok");
    return { size: vfio_region_info.fields.size.get(view), offset: vfio_region_info.fields.offset.get(view) };
  }
}
