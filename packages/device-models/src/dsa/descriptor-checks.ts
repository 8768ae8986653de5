import { COMPLETION_RECORD_BYTES, type Outcome } from "./completion-record";
import { DESCRIPTOR_BYTES, type Descriptor } from "./descriptor";
import { Flag, Opcode, modelledOperation, type Operation } from "./operations";
import { Status } from "./status-codes";

/** What the checks of section 5.4 depend on besides the descriptor itself. */
export interface DescriptorContext {
  /** The descriptor is a member of a batch. */
  readonly inBatch: boolean;
  /** Of the work queue it was submitted to. */
  readonly shared: boolean;
  readonly maximumTransferShift: number;
  readonly maximumBatchShift: number;
  /** OPCFG, its first 64 bits. */
  readonly operations: bigint;
  /** Request Completion Interrupt may be set: table 5-4. */
  readonly interruptsAllowed: boolean;
  /** Why the handle cannot be used: out of range, not requested, or another PASID's. */
  handleRefused(handle: number): boolean;
}

const EVERY_OPERATION = Flag.completionAddressValid | Flag.requestCompletionRecord | Flag.completionTrafficClass;

/** Whether a completion record can be written at all; otherwise SWERROR is where the error goes. */
export function completionAddressUsable(descriptor: Descriptor): boolean {
  return descriptor.completionAddress % BigInt(COMPLETION_RECORD_BYTES) === 0n;
}

/** Sections 5.4 and 5.5, in a fixed order; undefined when the descriptor may be executed. */
export function checkDescriptor(descriptor: Descriptor, context: DescriptorContext): Outcome | undefined {
  const operation = modelledOperation(descriptor.opcode);
  if (operation === undefined || !allowedHere(operation, context)) return { status: Status.unsupportedOperation };
  const invalidFlags = flagsRefused(operation, descriptor, context);
  if (invalidFlags !== 0) return { status: Status.invalidFlags, invalidFlags };
  if (!reservedFieldsClear(operation, descriptor, context)) return { status: Status.nonZeroReserved };
  // The Privileged Mode Enable bit of the PASID capability is always 0 here.
  if (context.shared && !context.inBatch && descriptor.privileged) return { status: Status.privilege };
  const status = sizeRefused(operation, descriptor, context) ?? addressesRefused(descriptor);
  if (status !== undefined) return { status };
  if (descriptor.has(Flag.requestCompletionInterrupt) && context.handleRefused(descriptor.interruptHandle)) {
    return { status: Status.invalidInterruptHandle };
  }
  return undefined;
}

function allowedHere(operation: Operation, { inBatch, operations }: DescriptorContext): boolean {
  if (((operations >> BigInt(operation.code)) & 1n) === 0n) return false;
  return !inBatch || (operation.code !== Opcode.batch && operation.code !== Opcode.drain);
}

/** Flags that are set and may not be, or must be set and are not. */
function flagsRefused(operation: Operation, descriptor: Descriptor, context: DescriptorContext): number {
  const { flags } = descriptor;
  let allowed = operation.flags | EVERY_OPERATION;
  if (context.interruptsAllowed) allowed |= Flag.requestCompletionInterrupt;
  if (context.inBatch) allowed |= Flag.fence;
  if (!descriptor.has(Flag.completionAddressValid)) {
    allowed &= ~(Flag.requestCompletionRecord | Flag.completionTrafficClass);
  }
  if (!descriptor.has(Flag.readCrcSeed) && isCrc(operation)) allowed &= ~Flag.trafficClass3;
  let refused = (flags & ~allowed) | (operation.required & ~flags);
  const notifies = Flag.requestCompletionRecord | Flag.requestCompletionInterrupt;
  if (operation.code === Opcode.drain && (flags & notifies) === 0) refused |= Flag.requestCompletionRecord;
  return refused;
}

function reservedFieldsClear(operation: Operation, descriptor: Descriptor, context: DescriptorContext): boolean {
  if (!operation.reserved.every(([first, last]) => descriptor.isZero(first, last))) return false;
  // A dedicated work queue's trusted fields come from its configuration, a batch member's from the batch: ignored.
  if (context.shared && !context.inBatch && descriptor.reservedTrusted !== 0) return false;
  if (!descriptor.has(Flag.completionAddressValid) && descriptor.completionAddress !== 0n) return false;
  if (!descriptor.has(Flag.requestCompletionInterrupt) && descriptor.interruptHandle !== 0) return false;
  if (!isCrc(operation)) return true;
  return descriptor.has(Flag.readCrcSeed) ? descriptor.crcSeed === 0 : descriptor.crcSeedAddress === 0n;
}

function sizeRefused(operation: Operation, { size }: Descriptor, context: DescriptorContext): number | undefined {
  if (operation.size === "transfer size" && (size === 0 || size > 2 ** context.maximumTransferShift)) {
    return Status.invalidTransferSize;
  }
  // A batch of one is not supported (GENCAP's Batch1 Support is 0).
  if (operation.size === "descriptor count" && (size < 2 || size > 2 ** context.maximumBatchShift)) {
    return Status.invalidDescriptorCount;
  }
  return undefined;
}

function addressesRefused(descriptor: Descriptor): number | undefined {
  const { source, destination, destination2, size } = descriptor;
  switch (descriptor.opcode) {
    case Opcode.batch:
      return source % BigInt(DESCRIPTOR_BYTES) === 0n ? undefined : Status.descriptorListMisaligned;
    case Opcode.crcGeneration:
      return seedMisaligned(descriptor) ? Status.misalignedAddress : undefined;
    case Opcode.copyWithCrc:
      if (seedMisaligned(descriptor)) return Status.misalignedAddress;
      return overlap(source, destination, size) ? Status.overlappingBuffers : undefined;
    case Opcode.dualcast:
      if (((destination ^ destination2) & 0xfffn) !== 0n) return Status.dualcastMisaligned;
      return overlap(source, destination, size) ||
        overlap(source, destination2, size) ||
        overlap(destination, destination2, size)
        ? Status.overlappingBuffers
        : undefined;
    default:
      return undefined;
  }
}

function seedMisaligned(descriptor: Descriptor): boolean {
  return descriptor.has(Flag.readCrcSeed) && (descriptor.crcSeedAddress & 3n) !== 0n;
}

function isCrc({ code }: Operation): boolean {
  return code === Opcode.crcGeneration || code === Opcode.copyWithCrc;
}

function overlap(a: bigint, b: bigint, size: number): boolean {
  const distance = a > b ? a - b : b - a;
  return distance < BigInt(size);
}
