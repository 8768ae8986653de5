import {
  vfio_device_feature_dma_logging_control,
  vfio_device_feature_dma_logging_range,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  vfio_device_feature_dma_logging_report,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_SET,
} from "@vfio-selftests/core/uapi";
import { bytesOf } from "../rigs/raw/ask-kernel";
import type { LoggingRig } from "./logging-rules";

const PAGE = 4096n;

/** A request with VFIO_DEVICE_FEATURE: its index and method, the payload, and what its pointers lead to, by their offset. */
export interface LogRequest {
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly links: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** The log of a device's writes, asked for with whatever numbers the caller likes (unlike core's `DmaLog`). */
export class DeviceLog implements LoggingRig {
  readonly #ask: (request: LogRequest) => string;
  readonly #rig: Disposable;

  /** `ask` gives `ok` or the errno's name. The log owns the rig. */
  constructor(rig: Disposable, ask: (request: LogRequest) => string) {
    this.#rig = rig;
    this.#ask = ask;
  }

  start(pairs: readonly bigint[]): string {
    const layout = vfio_device_feature_dma_logging_control;
    const bytes = new Uint8Array(BigUint64Array.from(pairs.map((value) => BigInt.asUintN(64, value))).buffer);
    const num_ranges = bytes.length / vfio_device_feature_dma_logging_range.size;
    return this.#ask({
      flags: VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET,
      payload: bytesOf(layout, { page_size: PAGE, num_ranges }),
      links: bytes.length === 0 ? [] : [{ offset: layout.fields.ranges.offset, bytes }],
    });
  }

  report(iova: bigint, length: bigint, page_size: bigint, bitmap: Uint8Array): string {
    const layout = vfio_device_feature_dma_logging_report;
    return this.#ask({
      flags: VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET,
      payload: bytesOf(layout, { iova, length, page_size }),
      links: [{ offset: layout.fields.bitmap.offset, bytes: bitmap }],
    });
  }

  stop(): string {
    const flags = VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | VFIO_DEVICE_FEATURE_SET;
    return this.#ask({ flags, payload: new Uint8Array(0), links: [] });
  }

  [Symbol.dispose](): void {
    this.#rig[Symbol.dispose]();
  }
}
