/**
 * What this driver uses of a controller's registers, commands and data structures: NVM Express Base Specification 2.0c
 * ("base") and NVM Command Set Specification 1.0c. Offsets in bytes from the start of BAR 0.
 */
export const Reg = {
  /** 64: capabilities. */
  CAP: 0x00,
  /** 32: version. */
  VS: 0x08,
  /** 32: controller configuration. */
  CC: 0x14,
  /** 32: controller status. */
  CSTS: 0x1c,
  /** 32: sizes of the admin queues. */
  AQA: 0x24,
  /** 64: address of the admin submission queue. */
  ASQ: 0x28,
  /** 64: address of the admin completion queue. */
  ACQ: 0x30,
} as const;

/** The doorbell of submission queue 0. The others follow it, `4 << CAP.DSTRD` bytes apart (base 3.1.2, PCIe transport). */
export const DOORBELLS = 0x1000;

/** Fields of CAP: first bit and number of bits. */
export const Cap = {
  /** Entries of the largest queue, less one. */
  maximumEntries: [0, 16],
  /** The longest time that enabling and disabling take, in units of 500 ms. */
  timeout: [24, 8],
  doorbellStride: [32, 4],
  /** The sets of commands. */
  commandSets: [37, 8],
  /** The smallest memory page is 2^(12 + this) bytes. */
  minimumPage: [48, 4],
} as const;

/** The bit of `Cap.commandSets` for the NVM command set, which has Read and Write. */
export const NVM_COMMAND_SET = 1;

export const Cc = {
  enable: 1,
  /** Notification of a normal shutdown. */
  shutdown: 1 << 14,
  /** Log2 of the sizes of entries: 64 bytes of a submission, 16 of a completion. Memory pages of 4 KiB are 0. */
  entrySizes: (6 << 16) | (4 << 20),
} as const;

export const Csts = {
  ready: 1,
  fatal: 1 << 1,
  shutdownStatus: 3 << 2,
  shutdownComplete: 2 << 2,
} as const;

/** What every register of a device reads that is not there. */
export const ALL_ONES = 0xffff_ffff;

export const PAGE_SIZE = 4096;
export const SUBMISSION_BYTES = 64;
export const COMPLETION_BYTES = 16;
/** Admin commands. */
export const Admin = {
  createSubmissionQueue: 0x01,
  createCompletionQueue: 0x05,
  identify: 0x06,
  setFeatures: 0x09,
} as const;
/** Commands of the NVM command set. */
export const Nvm = { flush: 0x00, write: 0x01, read: 0x02 } as const;

export const FEATURE_NUMBER_OF_QUEUES = 0x07;

/** Dword 11 of Create I/O Completion Queue and Create I/O Submission Queue. */
export const QueueFlag = {
  /** The queue's memory is in one piece. */
  contiguous: 1,
  interrupts: 1 << 1,
  vectorShift: 16,
} as const;

/** Which structure Identify returns (CNS). */
export const Cns = { namespace: 0x00, controller: 0x01, activeNamespaces: 0x02 } as const;

/** Offsets in Identify's structure of a controller. */
export const IdentifyController = { serial: 4, serialBytes: 20, maximumTransfer: 77, segments: 536 } as const;

/** Bits 1:0 of `IdentifyController.segments`: scatter gather lists, of any bytes or of dwords (base 5.17.2.1, SGLS). */
export const Segments = { mask: 3, anyBytes: 1, dwords: 2 } as const;

/** Offsets in Identify's structure of a namespace. */
export const IdentifyNamespace = {
  /** 64: blocks. */
  size: 0,
  /** 8: the format in use, in bits 3:0 and 6:5. */
  format: 26,
  /** 8: end-to-end protection, in bits 2:0. */
  protection: 29,
  /** 8: bit 0 is write protection. */
  attributes: 99,
  /** 32 each: bytes of metadata in bits 15:0, log2 of a block's bytes in bits 23:16. */
  formats: 128,
} as const;

/** Words of a completion queue's entry, and the bits of the last one. */
export const Completion = { resultWord: 0, statusWord: 3, phase: 1 << 16, statusShift: 17 } as const;

/** The lowest version with the list of active namespaces: 1.1. */
export const VERSION_1_1 = 0x0001_0100;
