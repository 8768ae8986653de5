import type { DmaSpace } from "@vfio-selftests/vfio-user";
import { completionRecord, type Outcome } from "../descriptors/completion-record";
import { type AccessFault, DeviceMemory } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import type { Submission } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import type { Job, Run, Work } from "../operations/operation";
import { WqMode } from "../registers/bar0";
import { checkDescriptor, completionAddressUsable, handleRefused, interruptsAllowed } from "./descriptor-checks";
import type { WorkQueue } from "./work-queue";

/** The cost of a descriptor besides its data, in bytes of copying (some microseconds). */
const OVERHEAD = 64 * 1024;

/** Statuses that are no error and need no completion record, unless it was requested (section 8.1.3). */
const QUIET: readonly number[] = [Status.success, Status.successFalsePredicate, Status.batchFailure];

/** One descriptor on its way: checks, the operation's work, then completion record and interrupt. */
export class DescriptorRun implements Job, Run {
  status: number | undefined;
  readonly memory: DeviceMemory;
  readonly #workQueue: WorkQueue;
  readonly #parts: DeviceParts;
  readonly #dma: DmaSpace;
  #work: Work | undefined;

  constructor(
    readonly submission: Submission,
    workQueue: WorkQueue,
    parts: DeviceParts,
    dma: DmaSpace,
  ) {
    this.memory = new DeviceMemory(dma, parts.pci.atsEnabled && (workQueue.mode & WqMode.atsDisable) === 0);
    this.#workQueue = workQueue;
    this.#parts = parts;
    this.#dma = dma;
  }

  /** Whether it waits for other descriptors. */
  get blocked(): boolean {
    return this.#work?.blocked ?? false;
  }

  advance(): number {
    let used = 0;
    if (this.#work === undefined) {
      this.#begin();
      used = OVERHEAD;
    }
    if (this.#work !== undefined) {
      used += this.#work.advance();
      if (this.#work.outcome !== undefined) this.#complete(this.#work.outcome);
    }
    return used;
  }

  olderInFlight(): boolean {
    return this.#workQueue.olderInFlight(this.submission);
  }

  startMember(member: Submission): Run {
    return new DescriptorRun(member, this.#workQueue, this.#parts, this.#dma);
  }

  /** Starts the work, or ends a descriptor that must not run. */
  #begin(): void {
    const { descriptor } = this.submission;
    if (descriptor.has(Flag.completionAddressValid) && !this.#completionAddressGood()) return;
    const checked = checkDescriptor(this.submission, this.#workQueue, this.#parts);
    if ("status" in checked) this.#complete(checked);
    else this.#work = checked.start(this);
  }

  /** A descriptor whose completion record cannot be written is discarded (section 5.4). */
  #completionAddressGood(): boolean {
    const { descriptor } = this.submission;
    if (!completionAddressUsable(descriptor)) {
      this.#discard({ status: Status.completionAddressMisaligned });
      return false;
    }
    // Without ATS the device knows nothing of an address before a write, and not even after it.
    const fault = this.memory.translated ? this.memory.probe(descriptor.completionAddress) : undefined;
    if (fault !== undefined) this.#discard(completionFault(fault));
    return fault === undefined;
  }

  #complete(outcome: Outcome): void {
    const { descriptor } = this.submission;
    const quiet = QUIET.includes(outcome.status);
    if (descriptor.has(Flag.completionAddressValid)) {
      if (!quiet || descriptor.has(Flag.requestCompletionRecord)) {
        const fault = this.memory.publish(descriptor.completionAddress, completionRecord(outcome));
        if (fault !== undefined) {
          this.#discard(completionFault(fault));
          return;
        }
      }
      if (outcome.status === Status.invalidInterruptHandle) this.#report(outcome);
    } else if (!quiet) {
      this.#report(outcome);
    }
    if (descriptor.has(Flag.requestCompletionInterrupt)) this.#interrupt();
    this.status = outcome.status;
  }

  #discard(outcome: Outcome): void {
    this.#report(outcome);
    this.status = outcome.status;
  }

  #report(outcome: Outcome): void {
    this.#parts.errors.recordOfDescriptor(outcome, this.submission);
  }

  /** Interrupts even for a refused descriptor, unless the check refused the interrupt. */
  #interrupt(): void {
    if (!interruptsAllowed(this.submission, this.#workQueue, this.#parts)) return;
    if (handleRefused(this.submission, this.#workQueue, this.#parts)) return;
    this.#parts.interrupts.completion(this.submission.descriptor.interruptHandle);
  }
}

function completionFault({ address }: AccessFault): Outcome {
  return { status: Status.completionAddressFault, fault: { address, write: true } };
}
