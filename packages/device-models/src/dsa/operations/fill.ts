import type { Outcome } from "../descriptors/completion-record";
import { Flag } from "../descriptors/flags";
import { type Job, type Operation, WRITES } from "./operation";
import { RepeatedPattern } from "./repeated-pattern";
import { Transfer } from "./transfer";

/** Fill (section 8.3.5), with a pattern of 8 bytes. */
export const fill: Operation = {
  code: 0x04,
  name: "MEMFILL",
  flags: WRITES | Flag.trafficClass2,
  required: 0,
  reserved: [[38, 63]],
  size: "transfer size",
  start: (job) => new Fill(job),
};

class Fill extends Transfer {
  readonly #destination: bigint;
  readonly #pattern: RepeatedPattern;

  constructor(job: Job) {
    super(job, 1);
    this.#destination = this.descriptor.destination;
    this.#pattern = new RepeatedPattern(this.descriptor.bytes(16, 23), this.descriptor.size);
  }

  protected override process(length: number): Outcome | undefined {
    const piece = this.#pattern.at(this.done, length);
    const fault = this.memory.write(this.#destination + BigInt(this.done), piece);
    this.done += fault?.completed ?? piece.length;
    return fault === undefined ? undefined : this.memory.outcomeOf(fault, this.done);
  }
}
