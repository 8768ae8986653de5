import { COMPLETION_RECORD_BYTES, type Outcome } from "../descriptors/completion-record";
import type { Descriptor } from "../descriptors/descriptor";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import type { Submission } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import type { Operation } from "../operations/operation";
import { operationOf } from "../operations/table";
import { GENCFG_USER_INTERRUPTS } from "../registers/bar0";
import type { WorkQueue } from "./work-queue";

const EVERY_OPERATION = Flag.completionAddressValid | Flag.requestCompletionRecord | Flag.completionTrafficClass;

/** Whether the device can write a completion record at all. If not, the error goes to SWERROR. */
export function completionAddressUsable(descriptor: Descriptor): boolean {
  return (Number(descriptor.completionAddress & 0xffn) & (COMPLETION_RECORD_BYTES - 1)) === 0;
}

/** Sections 5.4 and 5.5, in a fixed order. Returns the operation, or the outcome of a descriptor that must not run. */
export function checkDescriptor(submission: Submission, workQueue: WorkQueue, parts: DeviceParts): Operation | Outcome {
  const { descriptor } = submission;
  const operation = operationOf(descriptor.opcode);
  if (operation === undefined || !allowedHere(operation, submission, workQueue)) {
    return { status: Status.unsupportedOperation };
  }
  const invalidFlags = flagsRefused(operation, submission, workQueue, parts);
  if (invalidFlags !== 0) return { status: Status.invalidFlags, invalidFlags };
  const trusted = !workQueue.dedicated && submission.batchIndex === undefined;
  if (!reservedFieldsClear(operation, descriptor, trusted)) return { status: Status.nonZeroReserved };
  // The Privileged Mode Enable bit of the PASID capability is always 0 here.
  if (trusted && descriptor.privileged) return { status: Status.privilege };
  const status = sizeRefused(operation, descriptor, workQueue) ?? operation.refusedAddresses?.(descriptor);
  if (status !== undefined) return { status };
  if (descriptor.has(Flag.requestCompletionInterrupt) && handleRefused(submission, workQueue, parts)) {
    return { status: Status.invalidInterruptHandle };
  }
  return operation;
}

/** Whether Request Completion Interrupt may be set (table 5-4). */
export function interruptsAllowed({ privileged }: Submission, workQueue: WorkQueue, parts: DeviceParts): boolean {
  return !workQueue.pasidEnabled || privileged || (parts.registers.GENCFG.value & GENCFG_USER_INTERRUPTS) !== 0;
}

/** Whether the descriptor's interrupt handle is out of range, was never requested, or belongs to another PASID. */
export function handleRefused({ descriptor, pasid }: Submission, workQueue: WorkQueue, parts: DeviceParts): boolean {
  return parts.interrupts.permissionRefused(descriptor.interruptHandle, workQueue.pasidEnabled, pasid);
}

function allowedHere({ code, batchable }: Operation, { batchIndex }: Submission, workQueue: WorkQueue): boolean {
  return workQueue.allows(code) && (batchIndex === undefined || batchable !== false);
}

/** Flags that are set and must not be, or must be set and are not. */
function flagsRefused(operation: Operation, submission: Submission, workQueue: WorkQueue, parts: DeviceParts): number {
  const { descriptor, batchIndex } = submission;
  const { flags } = descriptor;
  let allowed = operation.flags | EVERY_OPERATION;
  if (interruptsAllowed(submission, workQueue, parts)) allowed |= Flag.requestCompletionInterrupt;
  if (batchIndex !== undefined) allowed |= Flag.fence;
  if (!descriptor.has(Flag.completionAddressValid)) {
    allowed &= ~(Flag.requestCompletionRecord | Flag.completionTrafficClass);
  }
  const refused = (flags & ~allowed) | (operation.required & ~flags);
  return refused | (operation.refusedFlags?.(descriptor) ?? 0);
}

/**
 * `trusted`: the privilege and PASID fields count. Otherwise the queue or the batch decides, and the fields are
 * ignored.
 */
function reservedFieldsClear(operation: Operation, descriptor: Descriptor, trusted: boolean): boolean {
  for (const [first, last] of operation.reserved) if (!descriptor.isZero(first, last)) return false;
  if (trusted && descriptor.reservedTrusted !== 0) return false;
  if (!descriptor.has(Flag.completionAddressValid) && descriptor.completionAddress !== 0n) return false;
  if (!descriptor.has(Flag.requestCompletionInterrupt) && descriptor.interruptHandle !== 0) return false;
  return operation.moreReserved?.(descriptor).every(([first, last]) => descriptor.isZero(first, last)) ?? true;
}

function sizeRefused({ size: field }: Operation, { size }: Descriptor, workQueue: WorkQueue): number | undefined {
  if (field === "transfer size" && (size === 0 || size > workQueue.maximumTransferSize)) {
    return Status.invalidTransferSize;
  }
  // The model takes no batch of one (GENCAP's Batch1 Support is 0).
  if (field === "descriptor count" && (size < 2 || size > workQueue.maximumBatchSize)) {
    return Status.invalidDescriptorCount;
  }
  return undefined;
}
