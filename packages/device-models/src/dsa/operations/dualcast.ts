import type { Outcome } from "../descriptors/completion-record";
import type { Descriptor } from "../descriptors/descriptor";
import { AccessFault } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import { type Job, type Operation, WRITES } from "./operation";
import { overlap } from "./overlap";
import { Transfer } from "./transfer";

/** Memory Copy with Dualcast (section 8.3.10). */
export const dualcast: Operation = {
  code: 0x09,
  name: "DUALCAST",
  flags: WRITES | Flag.trafficClass1 | Flag.trafficClass2 | Flag.trafficClass3,
  required: 0,
  reserved: [
    [38, 39],
    [48, 63],
  ],
  size: "transfer size",
  refusedAddresses,
  start: (job) => new Dualcast(job),
};

/** The destinations must have the same offset in their pages. */
function refusedAddresses({ source, destination, destination2, size }: Descriptor): number | undefined {
  if (((destination ^ destination2) & 0xfffn) !== 0n) return Status.dualcastMisaligned;
  const overlaps =
    overlap(source, destination, size) ||
    overlap(source, destination2, size) ||
    overlap(destination, destination2, size);
  return overlaps ? Status.overlappingBuffers : undefined;
}

class Dualcast extends Transfer {
  constructor(job: Job) {
    super(job, 2);
  }

  protected override process(length: number): Outcome | undefined {
    const offset = BigInt(this.done);
    const first = this.descriptor.destination + offset;
    const second = this.descriptor.destination2 + offset;
    const direct = [first, second].map((address) => this.memory.directlyWritable(address, length));
    const read = this.memory.read(
      this.descriptor.source + offset,
      Math.min(length, ...direct.filter((bytes) => bytes > 0)),
    );
    if (read instanceof AccessFault) return this.memory.outcomeOf(read, this.done);
    const source = read.slice();
    // Both destinations stop at the same byte, so the one that may fault goes first.
    const fault = direct[1] === 0 ? this.#writeBoth(second, first, source) : this.#writeBoth(first, second, source);
    this.done += fault?.completed ?? source.length;
    return fault === undefined ? undefined : this.memory.outcomeOf(fault, this.done);
  }

  protected override destinations(): readonly bigint[] {
    return [this.descriptor.destination, this.descriptor.destination2];
  }

  #writeBoth(first: bigint, second: bigint, source: Uint8Array): AccessFault | undefined {
    const fault = this.memory.write(first, source);
    const written = fault?.completed ?? source.length;
    return this.memory.write(second, source.subarray(0, written)) ?? fault;
  }
}
