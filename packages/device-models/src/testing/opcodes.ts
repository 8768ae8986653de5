/**
 * The operations of the DSA architecture (specification 341204, tables 5-3 to 5-5), kept apart from the declarations
 * under test.
 */
export const Opcode = {
  noop: 0x00,
  batch: 0x01,
  drain: 0x02,
  memoryMove: 0x03,
  fill: 0x04,
  compare: 0x05,
  comparePattern: 0x06,
  createDelta: 0x07,
  applyDelta: 0x08,
  dualcast: 0x09,
  translationFetch: 0x0a,
  crcGeneration: 0x10,
  copyWithCrc: 0x11,
  difCheck: 0x12,
  difInsert: 0x13,
  difStrip: 0x14,
  difUpdate: 0x15,
  cacheFlush: 0x20,
} as const;
