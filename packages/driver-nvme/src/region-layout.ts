import { COMPLETION_BYTES, PAGE_SIZE, SUBMISSION_BYTES } from "./registers";

/** The most bytes of a copy, and of the scratch range. Few controllers take less in one command (MDTS). */
export const SCRATCH_BYTES = 128 * 1024;

/** Entries of the queues: at most a page of submissions for those that hold a command or two. */
export const ADMIN_ENTRIES = 16;
export const COPY_ENTRIES = 256;
export const MESSAGE_ENTRIES = 2;

const copies = 2 * PAGE_SIZE;
const messages = copies + COPY_ENTRIES * (SUBMISSION_BYTES + COMPLETION_BYTES);
const identify = messages + 2 * PAGE_SIZE;

/** Where things lie in the driver's DMA region: everything at the start of a page, as queues and lists must. */
export const Layout = {
  adminSubmissions: 0,
  adminCompletions: PAGE_SIZE,
  copySubmissions: copies,
  copyCompletions: copies + COPY_ENTRIES * SUBMISSION_BYTES,
  messageSubmissions: messages,
  messageCompletions: messages + PAGE_SIZE,
  /** What Identify returns. */
  identify,
  /** Lists of pages or segments. */
  sourceList: identify + PAGE_SIZE,
  destinationList: identify + 2 * PAGE_SIZE,
  savedList: identify + 3 * PAGE_SIZE,
  /** Bytes that fill up the last block of a copy. */
  padding: identify + 4 * PAGE_SIZE,
  /** What the scratch range held. */
  saved: identify + 5 * PAGE_SIZE,
  size: identify + 5 * PAGE_SIZE + SCRATCH_BYTES,
} as const;
