import type { Outcome } from "./completion-record";
import { Flag, Opcode } from "./operations";
import type { Descriptor } from "./descriptor";
import { AccessFault, type DeviceMemory } from "./device-memory";
import { Status } from "./status-codes";
import type { Transfer } from "./transfer";

const PATTERN_BYTES = 8;
const BLOCK_BYTES = 64 * 1024;

/** Compare and Compare Pattern (sections 8.3.6 and 8.3.7). The position of a difference is exact. */
export class Compare implements Transfer {
  readonly weight = 2;
  readonly #descriptor: Descriptor;
  readonly #size: number;
  /** The pattern over and over; undefined when two buffers are compared. */
  readonly #pattern: Uint8Array | undefined;
  #done = 0;

  constructor(
    descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {
    this.#descriptor = descriptor;
    this.#size = descriptor.size;
    if (descriptor.opcode === Opcode.comparePattern) {
      const length = Math.min(BLOCK_BYTES, Math.ceil(descriptor.size / PATTERN_BYTES) * PATTERN_BYTES) + PATTERN_BYTES;
      this.#pattern = Buffer.alloc(length, descriptor.bytes.subarray(24, 24 + PATTERN_BYTES));
    }
  }

  advance(bytes: number): Outcome | undefined {
    const end = Math.min(this.#size, this.#done + bytes);
    while (this.#done < end) {
      const length = Math.min(end - this.#done, BLOCK_BYTES);
      const read = this.memory.read(this.#descriptor.source + BigInt(this.#done), length);
      if (read instanceof AccessFault) return this.memory.outcomeOf(read, this.#done);
      // The first operand must outlive the access to the second.
      const first = read.slice();
      const difference = this.#pattern === undefined ? this.#compareMemory(first) : this.#comparePattern(first);
      if (difference instanceof AccessFault) return this.memory.outcomeOf(difference, this.#done);
      if (difference !== undefined) return this.#decide(1, this.#done + difference);
      this.#done += first.length;
    }
    return this.#done === this.#size ? this.#decide(0, 0) : undefined;
  }

  /** The offset in `first` of the first difference; a fault only where there is none before it. */
  #compareMemory(first: Uint8Array): number | undefined | AccessFault {
    for (let position = 0; position < first.length;) {
      const address = this.#descriptor.destination + BigInt(this.#done + position);
      const second = this.memory.read(address, first.length - position);
      if (second instanceof AccessFault) {
        this.#done += position;
        return second;
      }
      const difference = firstDifference(first.subarray(position, position + second.length), second);
      if (difference !== undefined) return position + difference;
      position += second.length;
    }
    return undefined;
  }

  #comparePattern(first: Uint8Array): number | undefined {
    const phase = this.#done % PATTERN_BYTES;
    return firstDifference(first, (this.#pattern as Uint8Array).subarray(phase, phase + first.length));
  }

  #decide(result: 0 | 1, completed: number): Outcome {
    const expected = !this.#descriptor.has(Flag.checkResult) || this.#descriptor.expectedResult === result;
    return { status: expected ? Status.success : Status.successFalsePredicate, result, completed };
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined;
  return a.findIndex((byte, i) => byte !== b[i]);
}
