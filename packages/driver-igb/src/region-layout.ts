import { DESCRIPTOR_SIZE } from "./registers";

/** Most frames in flight, plus one: the device needs a free descriptor to tell full from empty. */
export const RX_RING_SIZE = 4096;
/** A frame takes up to three transmit descriptors (see rings.ts). */
export const TX_RING_SIZE = 3 * RX_RING_SIZE;
/**
 * Bytes of every frame before the data, and of the receive header buffer: the smallest size there is
 * (SRRCTL.BSIZEHDRSIZE).
 */
export const HEADER_SIZE = 64;

export const TX_RING_BYTES = TX_RING_SIZE * DESCRIPTOR_SIZE;
export const RX_RING_BYTES = RX_RING_SIZE * DESCRIPTOR_SIZE;

const headers = TX_RING_BYTES + RX_RING_BYTES;

/** Where things lie in the driver's DMA region. Ring bases must be multiples of 128 (RDBAL, TDBAL). */
export const Layout = {
  txRing: 0,
  rxRing: TX_RING_BYTES,
  /** The header of every sent frame. */
  txHeader: headers,
  /** Where the device puts every received header. */
  rxHeader: headers + HEADER_SIZE,
  /** Where the device puts a test frame's data. The data comes from `txHeader`. */
  testDestination: headers + 2 * HEADER_SIZE,
  size: headers + 3 * HEADER_SIZE,
} as const;
