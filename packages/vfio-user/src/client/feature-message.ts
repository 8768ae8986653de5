import type { PayloadLink, VfioError } from "@vfio-selftests/core";
import { argumentError, Errno, systemError } from "@vfio-selftests/core/errors";
import {
  vfio_device_feature_dma_logging_control,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  vfio_device_feature_dma_logging_report,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
} from "@vfio-selftests/core/uapi";
import { MAX_BITMAP } from "../protocol/limits";
import * as structs from "../protocol/structs";

const FEATURE_INDEX = 0xffff;

/** The data of a VFIO_USER_DEVICE_FEATURE, and what its reply means to the caller. */
interface FeatureMessage {
  readonly data: Uint8Array;
  /** Bytes of data that the reply may have. */
  readonly room: number;
  /** Makes the kernel's structure of the reply's data, and fills the linked memory. */
  readonly answer: (reply: Uint8Array) => Uint8Array;
}

type Translation = (payload: Uint8Array, link: Uint8Array) => FeatureMessage;

/** The ranges follow the fields. The reply tells the size of the pages. */
const startLogging: Translation = (payload, ranges) => {
  const { size } = structs.dma_logging_control;
  const data = Buffer.concat([payload.subarray(0, size), ranges]);
  const answer = (reply: Uint8Array): Uint8Array => {
    const bytes = payload.slice();
    bytes.set(reply.subarray(0, size));
    return bytes;
  };
  return { data, room: data.length, answer };
};

/** The reply's bitmap follows the fields. Like the kernel, it sets bits in the caller's, and clears none. */
const reportLog: Translation = (payload, bitmap) => {
  const { dma_logging_report } = structs;
  const { fields, size } = dma_logging_report;
  const view = dma_logging_report.copyOf(payload);
  const pageSize = fields.page_size.get(view);
  // A request that the server must refuse needs no room.
  const pages = pageSize === 0n ? 0n : (fields.length.get(view) + pageSize - 1n) / pageSize;
  const needed = ((pages + 63n) / 64n) * 8n;
  if (needed > BigInt(Math.min(bitmap.length, MAX_BITMAP))) {
    const allowed = `${needed}, a bit for each page, and at most ${MAX_BITMAP}`;
    throw argumentError("feature", "links[0].bytes.length", bitmap.length, allowed);
  }
  const answer = (reply: Uint8Array): Uint8Array => {
    const came = Math.max(0, reply.length - size);
    // Pages without a bit would count as not written.
    if (came < needed) throw shortBitmap(came, needed);
    for (const [i, bits] of reply.subarray(size, size + Number(needed)).entries()) bitmap[i] = (bitmap[i] ?? 0) | bits;
    return payload.slice();
  };
  return { data: payload.subarray(0, size), room: size + Number(needed), answer };
};

function shortBitmap(came: number, needed: bigint): VfioError {
  const operation = "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT";
  const message = `${operation}: a bitmap of ${came} bytes, the range has ${needed}`;
  return systemError(-Errno.EPROTO, operation, { message });
}

/** Features whose kernel structure has a pointer: where, the structure's size, and the message instead. */
const POINTERS: Readonly<Record<number, { offset: number; size: number; translate: Translation }>> = {
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_START]: {
    offset: vfio_device_feature_dma_logging_control.fields.ranges.offset,
    size: vfio_device_feature_dma_logging_control.size,
    translate: startLogging,
  },
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT]: {
    offset: vfio_device_feature_dma_logging_report.fields.bitmap.offset,
    size: vfio_device_feature_dma_logging_report.size,
    translate: reportLog,
  },
};

/** The message for a feature's structure. Undefined if it has a link that no message can carry. */
export function featureMessage(
  flags: number,
  payload: Uint8Array,
  links: readonly PayloadLink[],
): FeatureMessage | undefined {
  const [link] = links;
  if (link === undefined) return { data: payload, room: payload.length, answer: (reply) => reply };
  const pointer = POINTERS[flags & FEATURE_INDEX];
  if (pointer?.offset !== link.offset || links.length > 1 || payload.length < pointer.size) return undefined;
  return pointer.translate(payload, link.bytes);
}
