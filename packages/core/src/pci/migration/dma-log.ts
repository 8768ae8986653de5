import type { IovaRange } from "../../contracts/iommu";
import type { VfioDevice } from "../../contracts/vfio-device";
import { argumentError } from "../../errors/vfio-error";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_SET,
} from "../../uapi/vfio-numbers";
import {
  vfio_device_feature_dma_logging_control,
  vfio_device_feature_dma_logging_report,
} from "../../uapi/vfio-structs";

/** What to log. */
export interface DmaLogOptions {
  /** Where writes are logged: disjoint, in whole pages; at least one. */
  readonly ranges: readonly IovaRange[];
  /** Bytes of a page that the device should tell apart, a power of two. Default 4096. The device may choose another. */
  readonly pageSize?: bigint;
}

/** The log of the pages that a device writes (VFIO_DEVICE_FEATURE_DMA_LOGGING_*), from now on until `stop`. */
export class DmaLog implements Disposable {
  readonly #device: VfioDevice;
  #stopped = false;

  /** Starts the log. Errors: `ENOTTY` if the device has none, `EINVAL` if one is running, `E2BIG` for too many ranges. */
  constructor(device: VfioDevice, { ranges, pageSize = 4096n }: DmaLogOptions) {
    if (ranges.length === 0) throw argumentError("DmaLog", "ranges.length", 0, "at least one range");
    this.#device = device;
    const layout = vfio_device_feature_dma_logging_control;
    const { fields } = layout;
    const control = layout.allocate();
    fields.page_size.set(control, pageSize);
    fields.num_ranges.set(control, ranges.length);
    const pairs = BigUint64Array.from(ranges.flatMap(({ start, last }) => [start, last - start + 1n]));
    const links = [{ offset: fields.ranges.offset, bytes: new Uint8Array(pairs.buffer) }];
    device.feature(VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET, control.bytes, links);
  }

  /** The addresses of the pages of a range that the device has written since the last report, which forgets them. */
  report({ start, last }: IovaRange, pageSize = 4096n): bigint[] {
    const layout = vfio_device_feature_dma_logging_report;
    const { fields } = layout;
    const length = last - start + 1n;
    const words = (length / pageSize + 64n) / 64n;
    const bitmap = new BigUint64Array(Number(words));
    const asked = layout.allocate();
    fields.iova.set(asked, start);
    fields.length.set(asked, length);
    fields.page_size.set(asked, pageSize);
    const links = [{ offset: fields.bitmap.offset, bytes: new Uint8Array(bitmap.buffer) }];
    this.#device.feature(VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET, asked.bytes, links);
    const pages: bigint[] = [];
    for (const [word, bits] of bitmap.entries()) {
      for (let bit = 0n; bit < 64n && bits >> bit > 0n; bit += 1n) {
        if (((bits >> bit) & 1n) === 1n) pages.push(start + (BigInt(word) * 64n + bit) * pageSize);
      }
    }
    return pages;
  }

  /** Idempotent. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#device.feature(VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | VFIO_DEVICE_FEATURE_SET, new Uint8Array(0));
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
