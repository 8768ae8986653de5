import type { RegistersOf } from "../registers/index";
import type { Outcome } from "./descriptors/completion-record";
import type { Submission } from "./descriptors/submission";
import type { Interrupts } from "./interrupts";
import type { DsaRegisters } from "./registers/bar0";

/** Errors that only SWERROR reports (table 5-7). */
export const SoftwareError = {
  pciConfigurationChanged: 0x51,
  commandWhileActive: 0x52,
  workQueueFull: 0x53,
} as const;

/** Bits of SWERROR's first word. */
const VALID = 1n << 0n;
const OVERFLOW = 1n << 1n;
const DESCRIPTOR_VALID = 1n << 2n;
const WORK_QUEUE_VALID = 1n << 3n;
const BATCH_MEMBER = 1n << 4n;
const WRITE_FAULT = 1n << 5n;
const PRIVILEGED = 1n << 6n;

/** SWERROR (section 9.2.15): errors that no completion record reports. */
export class ErrorLog {
  readonly #registers: RegistersOf<DsaRegisters>;
  readonly #interrupts: Interrupts;

  constructor(registers: RegistersOf<DsaRegisters>, interrupts: Interrupts) {
    this.#registers = registers;
    this.#interrupts = interrupts;
  }

  /** Records an error that concerns no descriptor, or none that was accepted. */
  recordOfDevice(error: number, workQueue?: number): void {
    const queue = workQueue === undefined ? 0n : WORK_QUEUE_VALID | (BigInt(workQueue) << 16n);
    this.#record(VALID | queue | (BigInt(error) << 8n), 0n, 0n);
  }

  /** Records the end of a descriptor whose completion record cannot tell. */
  recordOfDescriptor(outcome: Outcome, submission: Submission): void {
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
    this.#record(first, second, outcome.fault?.address ?? 0n);
  }

  /** The registers hold one error. Further ones only set Overflow. */
  #record(first: bigint, second: bigint, faultAddress: bigint): void {
    const { SWERROR0, SWERROR1, SWERROR2, SWERROR3 } = this.#registers;
    if ((SWERROR0.value & VALID) !== 0n) {
      SWERROR0.value |= OVERFLOW;
      return;
    }
    SWERROR0.value = first | (SWERROR0.value & OVERFLOW);
    SWERROR1.value = second;
    SWERROR2.value = faultAddress;
    SWERROR3.value = 0n;
    this.#interrupts.softwareError();
  }
}
