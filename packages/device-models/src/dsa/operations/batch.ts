import type { Outcome } from "../descriptors/completion-record";
import { Descriptor, DESCRIPTOR_BYTES } from "../descriptors/descriptor";
import { AccessFault } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import type { Job, Operation, Run, Work } from "./operation";

/** Batch (section 8.3.2). */
export const batch: Operation = {
  code: 0x01,
  name: "BATCH",
  flags: Flag.trafficClass1,
  required: 0,
  reserved: [
    [24, 31],
    [38, 63],
  ],
  size: "descriptor count",
  batchable: false,
  refusedAddresses: ({ source }) =>
    source % BigInt(DESCRIPTOR_BYTES) === 0n ? undefined : Status.descriptorListMisaligned,
  start: (job) => new Batch(job),
};

/** Descriptors fetched at a time: a page of them. */
const FETCH = 64;

/** Runs the members of a batch one after the other. The specification also allows another order. */
class Batch implements Work {
  /** Set when all members have ended, or a fence or a fault has stopped the rest. */
  outcome: Outcome | undefined;
  readonly #job: Job;
  readonly #list: bigint;
  readonly #count: number;
  /** Members `#fetchedFrom` and following, as memory had them. */
  #fetched = new DataView(new ArrayBuffer(0));
  #fetchedFrom = 0;
  /** How many members have ended. */
  #processed = 0;
  #failed = false;
  #member: Run | undefined;

  constructor(job: Job) {
    const { source, size } = job.submission.descriptor;
    this.#job = job;
    this.#list = source;
    this.#count = size;
  }

  advance(): number {
    const member = (this.#member ??= this.#next());
    if (member === undefined) return 0;
    const used = member.advance();
    if (member.status === undefined) return used;
    if (member.status !== Status.success) this.#failed = true;
    this.#member = undefined;
    this.#processed++;
    if (this.#processed === this.#count) this.#end();
    return used;
  }

  /** The next member; undefined if the batch ends instead. */
  #next(): Run | undefined {
    const { submission, memory } = this.#job;
    const descriptor = this.#fetch(this.#processed);
    if (descriptor instanceof AccessFault) {
      this.outcome = memory.translated
        ? { ...memory.outcomeOf(descriptor, this.#processed), status: Status.batchPageFault }
        : { status: Status.hardwareError, completed: this.#processed };
      return undefined;
    }
    if (descriptor.has(Flag.fence) && this.#failed) {
      this.#end();
      return undefined;
    }
    const { workQueue, pasid, privileged } = submission;
    return this.#job.startMember({ descriptor, workQueue, pasid, privileged, batchIndex: this.#processed });
  }

  #fetch(index: number): Descriptor | AccessFault {
    if ((index - this.#fetchedFrom) * DESCRIPTOR_BYTES >= this.#fetched.byteLength) {
      const members = Math.min(FETCH, this.#count - index);
      const address = this.#list + BigInt(index * DESCRIPTOR_BYTES);
      const read = this.#job.memory.read(address, members * DESCRIPTOR_BYTES);
      if (read instanceof AccessFault) return read;
      this.#fetched = new DataView(new Uint8Array(read).buffer);
      this.#fetchedFrom = index;
    }
    return new Descriptor(this.#fetched, (index - this.#fetchedFrom) * DESCRIPTOR_BYTES);
  }

  #end(): void {
    const status = this.#failed ? Status.batchFailure : Status.success;
    this.outcome = { status, completed: this.#processed };
  }
}
