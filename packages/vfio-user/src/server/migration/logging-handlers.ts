import { constants } from "node:os";
import { MAX_BITMAP, MAX_LOG_RANGES } from "../../protocol/limits";
import * as structs from "../../protocol/structs";
import { DirtyLog, LOG_PAGE, type LoggedRange } from "./dirty-log";
import type { FeatureExchange } from "./feature-exchange";

const { E2BIG, EINVAL, EOVERFLOW } = constants.errno;

const ADDRESS_SPACE_END = 1n << 64n;
/** Bytes of struct vfio_device_feature_dma_logging_range. */
const RANGE_BYTES = 16;

/**
 * VFIO_DEVICE_FEATURE_DMA_LOGGING_START. Refuses what vfio_ioctl_device_feature_logging_start refuses, except for no
 * ranges at all: the specification then has all writes logged.
 */
export function startLogging({ device, data, reply }: FeatureExchange): number {
  const { dma_logging_control, device_feature } = structs;
  const { fields, size } = dma_logging_control;
  if (data.length < size) return -EINVAL;
  const view = dma_logging_control.copyOf(data);
  const count = fields.num_ranges.get(view);
  const pageSize = fields.page_size.get(view);
  if (count > MAX_LOG_RANGES) return -E2BIG;
  if (data.length < size + count * RANGE_BYTES || !isPowerOfTwo(pageSize)) return -EINVAL;
  if (device.dma.log !== undefined) return -EINVAL;
  const ranges = readRanges(data.subarray(size, size + count * RANGE_BYTES), pageSize);
  if (typeof ranges === "number") return -ranges;
  device.dma.log = new DirtyLog(ranges);
  // "On output the device will return the page size it selected."
  fields.page_size.set(view, BigInt(LOG_PAGE));
  reply.bytes.set(view.bytes.subarray(0, size), device_feature.size);
  return 0;
}

/** VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT. What it tells is forgotten, as in the kernel. */
export function reportWrittenPages({ device, data, reply, room }: FeatureExchange): number {
  const { dma_logging_report, device_feature } = structs;
  const { fields, size } = dma_logging_report;
  const { log } = device.dma;
  if (data.length < size || log === undefined) return -EINVAL;
  const view = dma_logging_report.copyOf(data);
  const [iova, length, pageSize] = [fields.iova.get(view), fields.length.get(view), fields.page_size.get(view)];
  if (!isPowerOfTwo(pageSize) || pageSize < BigInt(LOG_PAGE) || length === 0n) return -EINVAL;
  if (iova + length > ADDRESS_SPACE_END) return -EOVERFLOW;
  const words = ((length + pageSize - 1n) / pageSize + 63n) / 64n;
  if (words * 8n > BigInt(Math.min(MAX_BITMAP, room - size))) return -EINVAL;
  const start = device_feature.size + size;
  const bitmap = reply.bytes.subarray(start, start + Number(words) * 8);
  bitmap.fill(0);
  log.report(iova, length, pageSize, bitmap);
  return size + bitmap.length;
}

/** The ranges of a request, or a positive errno. */
function readRanges(bytes: Uint8Array, pageSize: bigint): readonly LoggedRange[] | number {
  const words = new BigUint64Array(bytes.slice().buffer);
  const ranges: LoggedRange[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const [start = 0n, length = 0n] = [words[i], words[i + 1]];
    if (((start | length) & (pageSize - 1n)) !== 0n || length === 0n) return EINVAL;
    if (start + length > ADDRESS_SPACE_END) return EOVERFLOW;
    const last = start + length - 1n;
    if (ranges.some((other) => start <= other.last && last >= other.start)) return EINVAL;
    ranges.push({ start, last });
  }
  return ranges;
}

function isPowerOfTwo(value: bigint): boolean {
  return value > 0n && (value & (value - 1n)) === 0n;
}
