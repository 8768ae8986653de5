import type { Outcome } from "../descriptors/completion-record";
import type { Descriptor } from "../descriptors/descriptor";
import type { DeviceMemory } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import type { Job, Work } from "./operation";

/**
 * Bytes of copying before other engines and the client get their turn. A whole megabyte at once is a tenth faster than
 * pieces of 64 KiB (measured).
 */
const SLICE_BYTES = 1024 * 1024;

/** An operation that goes through memory from one end to the other. */
export abstract class Transfer implements Work {
  outcome: Outcome | undefined;
  protected readonly descriptor: Descriptor;
  protected readonly memory: DeviceMemory;
  /** Bytes processed so far. */
  protected done = 0;
  readonly #weight: number;

  /** `weight`: how many bytes of copying take as long as one byte of this operation. */
  constructor({ submission, memory }: Job, weight: number) {
    this.descriptor = submission.descriptor;
    this.memory = memory;
    this.#weight = weight;
  }

  advance(): number {
    const { size } = this.descriptor;
    const start = this.done;
    const end = Math.min(size, start + Math.ceil(SLICE_BYTES / this.#weight));
    let outcome: Outcome | undefined;
    while (this.done < end && outcome === undefined) outcome = this.process(end - this.done);
    if (outcome === undefined && this.done >= size) outcome = this.end();
    if (outcome !== undefined) this.outcome = this.#readBack(outcome);
    return (this.done - start) * this.#weight;
  }

  /**
   * Processes some of the next `length` bytes, at least one, and adds them to `done`. Returns the outcome if that ends
   * the operation early.
   */
  protected abstract process(length: number): Outcome | undefined;

  /** The outcome when all bytes are processed. */
  protected end(): Outcome {
    return { status: Status.success };
  }

  /** The addresses that the operation writes to. */
  protected destinations(): readonly bigint[] {
    return [this.descriptor.destination];
  }

  /** Destination readback (section 3.9). Only an operation that succeeded has one. */
  #readBack(outcome: Outcome): Outcome {
    if (outcome.status !== Status.success || !this.descriptor.has(Flag.destinationReadback)) return outcome;
    const last = BigInt(this.descriptor.size - 1);
    for (const destination of this.destinations()) {
      if (this.memory.probe(destination + last) !== undefined) return { status: Status.writeError };
    }
    return outcome;
  }
}
