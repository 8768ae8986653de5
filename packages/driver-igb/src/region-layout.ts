import { DESCRIPTOR_SIZE } from "./registers";

/** Descriptors a ring holds; the device needs one free to tell full from empty. */
export const RING_SIZE = 4096;
export const RING_BYTES = RING_SIZE * DESCRIPTOR_SIZE;

/** Where the rings lie in the driver's DMA region; ring bases must be multiples of 128 (RDBAL, TDBAL). */
export const Layout = { txRing: 0, rxRing: RING_BYTES, size: 2 * RING_BYTES } as const;
