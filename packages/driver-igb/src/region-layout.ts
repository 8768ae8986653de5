import { DESCRIPTOR_SIZE } from "./registers";

/** Frames in flight at most, plus one: the device needs a descriptor free to tell full from empty. */
export const RX_RING_SIZE = 4096;
/** A frame takes up to three transmit descriptors (see rings.ts). */
export const TX_RING_SIZE = 3 * RX_RING_SIZE;
/** Bytes of every frame before the data, and of the receive header buffer: the smallest there is (SRRCTL.BSIZEHDRSIZE). */
export const HEADER_SIZE = 64;

export const TX_RING_BYTES = TX_RING_SIZE * DESCRIPTOR_SIZE;
export const RX_RING_BYTES = RX_RING_SIZE * DESCRIPTOR_SIZE;

const headers = TX_RING_BYTES + RX_RING_BYTES;

/** Where things lie in the driver's DMA region; ring bases must be multiples of 128 (RDBAL, TDBAL). */
export const Layout = {
  txRing: 0,
  rxRing: TX_RING_BYTES,
  /** The header that every frame is sent with. */
  txHeader: headers,
  /** Where every received header goes. */
  rxHeader: headers + HEADER_SIZE,
  /** Where a test frame's data goes; it is sent from `txHeader`. */
  testDestination: headers + 2 * HEADER_SIZE,
  size: headers + 3 * HEADER_SIZE,
} as const;
