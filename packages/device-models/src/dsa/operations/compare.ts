import type { Outcome } from "../descriptors/completion-record";
import { AccessFault } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import { type ByteRange, type Job, type Operation, RECORD } from "./operation";
import { RepeatedPattern } from "./repeated-pattern";
import { Transfer } from "./transfer";

/** All bytes but Expected Result. */
const RESERVED: readonly ByteRange[] = [
  [38, 39],
  [41, 63],
];

/** Compare (section 8.3.6). */
export const compare: Operation = {
  code: 0x05,
  name: "COMPARE",
  flags: Flag.checkResult | Flag.trafficClass1 | Flag.trafficClass2,
  required: RECORD,
  reserved: RESERVED,
  size: "transfer size",
  start: (job) => new MemoryComparison(job),
};

/** Compare Pattern (section 8.3.7). */
export const comparePattern: Operation = {
  code: 0x06,
  name: "COMPVAL",
  flags: Flag.checkResult | Flag.trafficClass1,
  required: RECORD,
  reserved: RESERVED,
  size: "transfer size",
  start: (job) => new PatternComparison(job),
};

const BLOCK_BYTES = 64 * 1024;

/** The position of a difference is exact. */
abstract class Comparison extends Transfer {
  readonly #source: bigint;

  constructor(job: Job) {
    super(job, 2);
    this.#source = this.descriptor.source;
  }

  protected override process(length: number): Outcome | undefined {
    const read = this.memory.read(this.#source + BigInt(this.done), Math.min(length, BLOCK_BYTES));
    if (read instanceof AccessFault) return this.memory.outcomeOf(read, this.done);
    return this.compareWith(read);
  }

  /** Compares the bytes read at `done` with the expected ones, as far as one access reaches. */
  protected abstract compareWith(first: Uint8Array): Outcome | undefined;

  protected conclude(first: Uint8Array, second: Uint8Array): Outcome | undefined {
    const difference = firstDifference(first, second);
    if (difference !== undefined) return this.#outcome(1, this.done + difference);
    this.done += first.length;
    return undefined;
  }

  protected override end(): Outcome {
    return this.#outcome(0, 0);
  }

  #outcome(result: 0 | 1, completed: number): Outcome {
    const expected = !this.descriptor.has(Flag.checkResult) || this.descriptor.expectedResult === result;
    return { status: expected ? Status.success : Status.successFalsePredicate, result, completed };
  }
}

class MemoryComparison extends Comparison {
  protected override compareWith(first: Uint8Array): Outcome | undefined {
    // The first operand must outlive the access to the second.
    const kept = first.slice();
    const second = this.memory.read(this.descriptor.destination + BigInt(this.done), kept.length);
    if (second instanceof AccessFault) return this.memory.outcomeOf(second, this.done);
    return this.conclude(kept.subarray(0, second.length), second);
  }
}

class PatternComparison extends Comparison {
  readonly #pattern: RepeatedPattern;

  constructor(job: Job) {
    super(job);
    this.#pattern = new RepeatedPattern(this.descriptor.bytes(24, 31), this.descriptor.size);
  }

  protected override compareWith(first: Uint8Array): Outcome | undefined {
    const expected = this.#pattern.at(this.done, first.length);
    return this.conclude(first.subarray(0, expected.length), expected);
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined;
  return a.findIndex((byte, i) => byte !== b[i]);
}
