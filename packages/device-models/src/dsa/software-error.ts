import type { Outcome } from "./completion-record";
import type { Submission } from "./submission";

/** The contents of SWERROR (section 9.2.15), as four 64-bit words. */
export type SoftwareErrorWords = readonly [bigint, bigint, bigint, bigint];

const VALID = 1n << 0n;
const DESCRIPTOR_VALID = 1n << 2n;
const WORK_QUEUE_VALID = 1n << 3n;
const BATCH_MEMBER = 1n << 4n;
const WRITE_FAULT = 1n << 5n;
const PRIVILEGED = 1n << 6n;

/** Of what concerns no descriptor, or none that was accepted. */
export function deviceErrorWords(error: number, workQueue?: number): SoftwareErrorWords {
  const queue = workQueue === undefined ? 0n : WORK_QUEUE_VALID | (BigInt(workQueue) << 16n);
  return [VALID | queue | (BigInt(error) << 8n), 0n, 0n, 0n];
}

/** Of a descriptor whose completion record cannot tell. */
export function descriptorErrorWords(outcome: Outcome, submission: Submission): SoftwareErrorWords {
  const { descriptor, batchIndex } = submission;
  let first = VALID | DESCRIPTOR_VALID | WORK_QUEUE_VALID;
  if (batchIndex !== undefined) first |= BATCH_MEMBER;
  if (outcome.fault?.write === true) first |= WRITE_FAULT;
  if (submission.privileged) first |= PRIVILEGED;
  first |= BigInt(outcome.status) << 8n;
  first |= BigInt(submission.workQueue) << 16n;
  first |= BigInt(descriptor.opcode) << 32n;
  first |= BigInt(submission.pasid ?? 0) << 40n;
  const second = BigInt(batchIndex ?? 0) | (BigInt(outcome.invalidFlags ?? 0) << 32n);
  return [first, second, outcome.fault?.address ?? 0n, 0n];
}
