import { BatchRun } from "./batch-run";
import { CacheFlush } from "./cache-flush";
import { Compare } from "./compare";
import { completionRecord, type Outcome } from "./completion-record";
import { CrcGeneration } from "./crc-generation";
import { checkDescriptor, completionAddressUsable, type DescriptorContext } from "./descriptor-checks";
import type { Descriptor } from "./descriptor";
import type { AccessFault, DeviceMemory } from "./device-memory";
import { Dualcast } from "./dualcast";
import { Fill } from "./fill";
import { memoryMove } from "./memory-move";
import { Flag, Opcode } from "./operations";
import { Status } from "./status-codes";
import type { Submission } from "./submission";
import type { Transfer } from "./transfer";

/** What the rest of the device does for a descriptor that is being executed. */
export interface Execution {
  /** The limits that apply. */
  context(submission: Submission): DescriptorContext;
  /** Memory as a new descriptor of this work queue sees it. */
  memory(): DeviceMemory;
  /** Older descriptors that a Drain descriptor waits for are still worked on. */
  mustWait(drain: Submission): boolean;
  reportError(outcome: Outcome, submission: Submission): void;
  raiseCompletionInterrupt(handle: number): void;
}

/** What a descriptor costs of a step's budget besides its data, in bytes of copying (some microseconds). */
const OVERHEAD = 64 * 1024;

const SMALLEST_SLICE = 4096;

/** Statuses that need no completion record unless it was requested, and are no error (section 8.1.3). */
const QUIET: readonly number[] = [Status.success, Status.successFalsePredicate, Status.batchFailure];

/** One descriptor on its way through an engine. */
export class DescriptorRun {
  /** Set when it has ended, completion record and interrupt included: the operation status. */
  status: number | undefined;

  readonly #descriptor: Descriptor;
  readonly #context: DescriptorContext;
  readonly #memory: DeviceMemory;
  #work: Transfer | BatchRun | "drain" | undefined;
  /** Bytes that the transfer has not been asked for yet. */
  #left: number;

  constructor(
    private readonly submission: Submission,
    private readonly execution: Execution,
  ) {
    this.#descriptor = submission.descriptor;
    this.#context = execution.context(submission);
    this.#memory = execution.memory();
    this.#left = this.#descriptor.size;
  }

  /** A Drain descriptor that waits for others. */
  get blocked(): boolean {
    return this.#work === "drain" && this.execution.mustWait(this.submission);
  }

  /** Works for about `budget` bytes of copying; gives what it used. */
  advance(budget: number): number {
    if (this.#work === undefined) {
      this.#begin();
      return OVERHEAD;
    }
    if (this.#work === "drain") {
      if (!this.blocked) this.#complete({ status: Status.success });
      return 0;
    }
    if (this.#work instanceof BatchRun) {
      const used = this.#work.advance(budget);
      if (this.#work.outcome !== undefined) this.#complete(this.#work.outcome);
      return used;
    }
    const { weight } = this.#work;
    const bytes = Math.min(this.#left, Math.max(SMALLEST_SLICE, Math.floor(budget / weight)));
    const outcome = this.#work.advance(bytes);
    this.#left -= bytes;
    if (outcome !== undefined) this.#complete(this.#readBack(outcome));
    return bytes * weight;
  }

  #begin(): void {
    if (this.#descriptor.has(Flag.completionAddressValid) && !this.#completionAddressGood()) return;
    const refused = checkDescriptor(this.#descriptor, this.#context);
    if (refused !== undefined) {
      this.#complete(refused);
      return;
    }
    switch (this.#descriptor.opcode) {
      case Opcode.noop:
        this.#complete({ status: Status.success });
        return;
      case Opcode.drain:
        this.#work = "drain";
        return;
      case Opcode.batch:
        this.#work = new BatchRun(this.submission, this.#memory, (member) => new DescriptorRun(member, this.execution));
        return;
      default:
        this.#work = startTransfer(this.#descriptor, this.#memory);
    }
  }

  /** A completion record that cannot be written discards the descriptor (section 5.4). */
  #completionAddressGood(): boolean {
    const address = this.#descriptor.completionAddress;
    if (!completionAddressUsable(this.#descriptor)) {
      this.#discard({ status: Status.completionAddressMisaligned });
      return false;
    }
    // Without ATS nothing is known of an address before, and of a write not even after.
    const fault = this.#memory.translated ? this.#memory.probe(address) : undefined;
    if (fault !== undefined) this.#discard(completionFault(fault));
    return fault === undefined;
  }

  /** Destination readback (section 3.9): only of an operation that succeeded. */
  #readBack(outcome: Outcome): Outcome {
    if (outcome.status !== Status.success || !this.#descriptor.has(Flag.destinationReadback)) return outcome;
    const { destination, destination2, size, opcode } = this.#descriptor;
    const last = BigInt(size - 1);
    const fault =
      this.#memory.probe(destination + last) ??
      (opcode === Opcode.dualcast ? this.#memory.probe(destination2 + last) : undefined);
    return fault === undefined ? outcome : { status: Status.writeError };
  }

  #complete(outcome: Outcome): void {
    const descriptor = this.#descriptor;
    const quiet = QUIET.includes(outcome.status);
    if (descriptor.has(Flag.completionAddressValid)) {
      if (!quiet || descriptor.has(Flag.requestCompletionRecord)) {
        const fault = this.#memory.publish(descriptor.completionAddress, completionRecord(outcome));
        if (fault !== undefined) {
          this.#discard(completionFault(fault));
          return;
        }
      }
      if (outcome.status === Status.invalidInterruptHandle) this.execution.reportError(outcome, this.submission);
    } else if (!quiet) {
      this.execution.reportError(outcome, this.submission);
    }
    this.#interrupt();
    this.status = outcome.status;
  }

  #discard(outcome: Outcome): void {
    this.execution.reportError(outcome, this.submission);
    this.status = outcome.status;
  }

  /** Also of a descriptor that was refused, unless it is the interrupt that was refused. */
  #interrupt(): void {
    const handle = this.#descriptor.interruptHandle;
    if (!this.#descriptor.has(Flag.requestCompletionInterrupt) || !this.#context.interruptsAllowed) return;
    if (!this.#context.handleRefused(handle)) this.execution.raiseCompletionInterrupt(handle);
  }
}

function completionFault({ address }: AccessFault): Outcome {
  return { status: Status.completionAddressFault, fault: { address, write: true } };
}

/** The descriptor has passed its checks. */
function startTransfer(descriptor: Descriptor, memory: DeviceMemory): Transfer {
  switch (descriptor.opcode) {
    case Opcode.fill:
      return new Fill(descriptor, memory);
    case Opcode.compare:
    case Opcode.comparePattern:
      return new Compare(descriptor, memory);
    case Opcode.crcGeneration:
    case Opcode.copyWithCrc:
      return new CrcGeneration(descriptor, memory);
    case Opcode.dualcast:
      return new Dualcast(descriptor, memory);
    case Opcode.cacheFlush:
      return new CacheFlush(descriptor, memory);
    default:
      return memoryMove(descriptor, memory);
  }
}
