/** Operation status codes (specification 341204, table 5-6); byte 0 of a completion record, bits 5:0. */
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
  /** Also what a read gets that the IOMMU refuses while ATS is off. */
  hardwareError: 0x20,
  /** Also what a destination readback gets that the IOMMU refuses while ATS is off. */
  writeError: 0x21,
} as const;

/** Bit 7 of the status byte: the faulting access was a write. */
export const STATUS_WRITE_FAULT = 0x80;

/** Errors that only SWERROR reports (table 5-7). */
export const SoftwareError = {
  pciConfigurationChanged: 0x51,
  commandWhileActive: 0x52,
  workQueueFull: 0x53,
} as const;

/** CMDSTATUS error codes (section 9.2.13 and table 5-8). */
export const CommandError = {
  none: 0x00,
  unsupportedCommand: 0x01,
  invalidWorkQueue: 0x02,
  nonZeroReserved: 0x04,
  deviceHalted: 0x05,
  deviceNotDisabled: 0x10,
  busMasterDisabled: 0x12,
  workQueueSizes: 0x14,
  groupIncomplete: 0x15,
  groupWorkQueues: 0x16,
  groupEngines: 0x17,
  readBuffers: 0x18,
  deviceNotEnabled: 0x20,
  workQueueNotDisabled: 0x21,
  workQueueSizeZero: 0x22,
  workQueuePriority: 0x23,
  workQueueMode: 0x24,
  blockOnFault: 0x25,
  pasidEnable: 0x26,
  maximumBatchSize: 0x27,
  maximumTransferSize: 0x28,
  privilege: 0x2a,
  occupancyInterrupt: 0x2b,
  operationsConfiguration: 0x2d,
  pageRequestsDisable: 0x2e,
  disableOfDisabledDevice: 0x31,
  workQueueNotEnabled: 0x32,
  invalidInterruptIndex: 0x41,
} as const;
