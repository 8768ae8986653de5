/** Descriptor flags (section 8.1.3), bits of the 24-bit Flags field. */
export const Flag = {
  fence: 1 << 0,
  blockOnFault: 1 << 1,
  completionAddressValid: 1 << 2,
  requestCompletionRecord: 1 << 3,
  requestCompletionInterrupt: 1 << 4,
  checkResult: 1 << 7,
  cacheControl: 1 << 8,
  trafficClass1: 1 << 9,
  trafficClass2: 1 << 10,
  trafficClass3: 1 << 11,
  completionTrafficClass: 1 << 12,
  strictOrdering: 1 << 13,
  destinationReadback: 1 << 14,
  /** For Drain. */
  suppressReadbackA: 1 << 18,
  suppressReadbackB: 1 << 19,
  /** For CRC Generation and Copy with CRC Generation. */
  readCrcSeed: 1 << 16,
  bypassCrcInversion: 1 << 17,
  bypassDataReflection: 1 << 18,
} as const;
