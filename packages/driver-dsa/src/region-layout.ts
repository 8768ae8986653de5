import { DESCRIPTOR_BYTES, RECORD_BYTES } from "./registers";

/** Batches that may be in the work queue at once, and copies that one may hold. */
export const MAX_BATCHES = 32;
export const MAX_COPIES_PER_BATCH = 1024;

const copies = MAX_BATCHES * DESCRIPTOR_BYTES;
const copyRecord = copies + MAX_COPIES_PER_BATCH * DESCRIPTOR_BYTES;
const batchRecords = copyRecord + RECORD_BYTES;
const msiSource = batchRecords + MAX_BATCHES * RECORD_BYTES;

/** Offsets in the driver's DMA region, in bytes. */
export const Layout = {
  batches: 0,
  copies,
  /** Completion record of a single copy, and of whichever member of a batch fails. */
  copyRecord,
  batchRecords,
  msiSource,
  msiDestination: msiSource + 8,
  size: msiSource + 16,
} as const;
