import { OPERATIONS_SUPPORTED } from "../operations/table";

/** What may differ between modelled devices. By default the device offers what a vfio-user client can use. */
export interface DsaOptions {
  /**
   * Offers the PCI Express ATS capability. vfio-user has no address translation requests. With ATS enabled, the model
   * uses the client's DMA table as its translation cache, and reports page faults as the device does. Default false.
   */
  readonly ats?: boolean;
  /** Offers the PASID capability, without which no shared work queue can be enabled. Default false. */
  readonly pasid?: boolean;
  /** Demands interrupt handles from the Request Interrupt Handle command instead of MSI-X indexes. Default false. */
  readonly interruptHandles?: boolean;
  /** Clock in milliseconds, for the length of a step. Default `performance.now`. */
  readonly now?: () => number;
}

/** Sizes of the first generation (Sapphire Rapids, specification 1.x). */
export const DSA = {
  version: 0x100,
  workQueues: 8,
  totalWorkQueueSize: 128,
  groups: 4,
  engines: 4,
  readBuffers: 96,
  /** log2 of bytes and of descriptors. */
  maximumTransferShift: 31,
  maximumBatchShift: 10,
  msixVectors: 9,
  /** WQCFG is 2^(5+1) bytes per work queue, and includes the operations configuration. */
  workQueueConfigShift: 1,
} as const;

/** Offsets in BAR0 that the specification leaves to the implementation. OFFSETS counts in units of 0x100. */
export const Table = {
  msixPermissions: 0x400,
  groups: 0x600,
  workQueues: 0x800,
  msix: 0x2000,
  msixPending: 0x3000,
} as const;

export const BAR0_SIZE = 0x10000;
/** Four portals of 4 KiB per work queue: MSI-X unlimited, MSI-X limited, IMS unlimited, IMS limited. */
export const BAR2_SIZE = DSA.workQueues * 4 * 0x1000;

export const GenCap = {
  blockOnFault: 1n << 0n,
  overlappingCopy: 1n << 1n,
  cacheControl: 1n << 2n,
  commandCapabilities: 1n << 4n,
  destinationReadback: 1n << 8n,
  configuration: 1n << 31n,
} as const;

/** GENCAP (section 9.2.2). Block on fault is absent: vfio-user has no page requests. */
export const GENCAP: bigint =
  GenCap.overlappingCopy |
  GenCap.cacheControl |
  GenCap.commandCapabilities |
  GenCap.destinationReadback |
  (BigInt(DSA.maximumTransferShift) << 16n) |
  (BigInt(DSA.maximumBatchShift) << 21n) |
  GenCap.configuration;

const WqCap = {
  sharedMode: 1n << 48n,
  dedicatedMode: 1n << 49n,
  atsControl: 1n << 50n,
  priority: 1n << 51n,
  occupancy: 1n << 52n,
  occupancyInterrupt: 1n << 53n,
  operationsConfiguration: 1n << 54n,
} as const;

/** WQCAP (section 9.2.3): everything but control of page requests. */
export const WQCAP: bigint =
  BigInt(DSA.totalWorkQueueSize) |
  (BigInt(DSA.workQueues) << 16n) |
  (BigInt(DSA.workQueueConfigShift) << 24n) |
  Object.values(WqCap).reduce((bits, bit) => bits | bit, 0n);

/** GRPCAP (section 9.2.4): read buffer controls and the global limit are supported. */
export const GRPCAP: bigint = BigInt(DSA.groups) | (BigInt(DSA.readBuffers) << 8n) | (1n << 16n) | (1n << 17n);

export const ENGCAP = BigInt(DSA.engines);

export const OPCAP: bigint = OPERATIONS_SUPPORTED;

/** OFFSETS (section 9.2.7), low half. The model has no IMS, no perfmon and no inter-domain table. */
export const OFFSETS: bigint =
  BigInt(Table.groups >> 8) | (BigInt(Table.workQueues >> 8) << 16n) | (BigInt(Table.msixPermissions >> 8) << 32n);

/** Administrative commands (table 9-5). */
export const Command = {
  enableDevice: 1,
  disableDevice: 2,
  drainAll: 3,
  abortAll: 4,
  resetDevice: 5,
  enableWorkQueue: 6,
  disableWorkQueue: 7,
  drainWorkQueue: 8,
  abortWorkQueue: 9,
  resetWorkQueue: 10,
  drainPasid: 11,
  abortPasid: 12,
  requestInterruptHandle: 13,
  releaseInterruptHandle: 14,
} as const;

/** CMDCAP (section 9.2.14): bit n for command n. */
export function commandCapabilities(options: DsaOptions): bigint {
  const handles: readonly number[] = [Command.requestInterruptHandle, Command.releaseInterruptHandle];
  return Object.values(Command)
    .filter((code) => options.interruptHandles === true || !handles.includes(code))
    .reduce((bits, code) => bits | (1n << BigInt(code)), 0n);
}
