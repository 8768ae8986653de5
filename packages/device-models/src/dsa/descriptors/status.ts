/** Operation status codes (table 5-6); byte 0 of a completion record, bits 5:0. */
export const Status = {
  success: 0x01,
  successFalsePredicate: 0x02,
  pageFault: 0x03,
  batchFailure: 0x05,
  batchPageFault: 0x06,
  unsupportedOperation: 0x10,
  invalidFlags: 0x11,
  nonZeroReserved: 0x12,
  invalidTransferSize: 0x13,
  invalidDescriptorCount: 0x14,
  overlappingBuffers: 0x16,
  dualcastMisaligned: 0x17,
  descriptorListMisaligned: 0x18,
  invalidInterruptHandle: 0x19,
  completionAddressFault: 0x1a,
  completionAddressMisaligned: 0x1b,
  misalignedAddress: 0x1c,
  privilege: 0x1d,
  /** Also for a read that the IOMMU refuses while ATS is off. */
  hardwareError: 0x20,
  /** Also for a destination readback that the IOMMU refuses while ATS is off. */
  writeError: 0x21,
} as const;

/** Bit 7 of the status byte: the faulting access was a write. */
export const STATUS_WRITE_FAULT = 0x80;
