import type { Outcome } from "./completion-record";
import { DESCRIPTOR_BYTES, Descriptor } from "./descriptor";
import { AccessFault, type DeviceMemory } from "./device-memory";
import { Flag } from "./operations";
import { Status } from "./status-codes";
import type { Submission } from "./submission";

/** A member on its way: as a DescriptorRun. */
export interface Run {
  readonly status: number | undefined;
  advance(budget: number): number;
}

/** Descriptors fetched at a time: a page of them. */
const FETCH = 64;

/** The members of a batch, one after the other (section 8.3.2; the device may also take them in another order). */
export class BatchRun {
  /** Set when all members have ended, or the rest was abandoned. */
  outcome: Outcome | undefined;

  readonly #list: bigint;
  readonly #count: number;
  /** Members `#fetchedFrom` and following, as they were in memory. */
  #fetched = new Uint8Array(0);
  #fetchedFrom = 0;
  /** Members that have ended. */
  #processed = 0;
  #failed = false;
  #member: Run | undefined;

  constructor(
    private readonly submission: Submission,
    private readonly memory: DeviceMemory,
    private readonly start: (member: Submission) => Run,
  ) {
    this.#list = submission.descriptor.source;
    this.#count = submission.descriptor.size;
  }

  /** As `DescriptorRun.advance`. */
  advance(budget: number): number {
    let used = 0;
    while (used < budget && this.outcome === undefined) {
      const member = (this.#member ??= this.#next());
      if (member === undefined) break;
      used += member.advance(budget - used);
      if (member.status === undefined) continue;
      if (member.status !== Status.success) this.#failed = true;
      this.#member = undefined;
      this.#processed++;
      if (this.#processed === this.#count) this.#end();
    }
    return used;
  }

  /** The next member; undefined when the batch ends instead. */
  #next(): Run | undefined {
    const descriptor = this.#fetch(this.#processed);
    if (descriptor instanceof AccessFault) {
      this.outcome = this.memory.translated
        ? { ...this.memory.outcomeOf(descriptor, this.#processed), status: Status.batchPageFault }
        : { status: Status.hardwareError, completed: this.#processed };
      return undefined;
    }
    if (descriptor.has(Flag.fence) && this.#failed) {
      this.#end();
      return undefined;
    }
    return this.start({ ...this.submission, descriptor, batchIndex: this.#processed });
  }

  #fetch(index: number): Descriptor | AccessFault {
    if ((index - this.#fetchedFrom) * DESCRIPTOR_BYTES >= this.#fetched.length) {
      const members = Math.min(FETCH, this.#count - index);
      const read = this.memory.read(this.#list + BigInt(index * DESCRIPTOR_BYTES), members * DESCRIPTOR_BYTES);
      if (read instanceof AccessFault) return read;
      this.#fetched = read.slice();
      this.#fetchedFrom = index;
    }
    const start = (index - this.#fetchedFrom) * DESCRIPTOR_BYTES;
    return new Descriptor(this.#fetched.subarray(start, start + DESCRIPTOR_BYTES));
  }

  #end(): void {
    const status = this.#failed ? Status.batchFailure : Status.success;
    this.outcome = { status, completed: this.#processed };
  }
}
