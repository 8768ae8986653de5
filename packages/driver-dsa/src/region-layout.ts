import { DESCRIPTOR_BYTES, RECORD_BYTES } from "./registers";

/** Most batches in the work queue at once, and most copies in one batch. */
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
  /** Completion record of a single copy, and of any failing member of a batch. */
  copyRecord,
  batchRecords,
  msiSource,
  msiDestination: msiSource + 8,
  size: msiSource + 16,
} as const;
