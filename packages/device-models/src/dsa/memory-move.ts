import type { Outcome } from "./completion-record";
import type { Descriptor } from "./descriptor";
import { AccessFault, type DeviceMemory } from "./device-memory";
import { Status } from "./status-codes";
import type { Transfer } from "./transfer";

/** Section 8.3.4. Backwards when the destination starts inside the source, so that a copy of any overlap is right. */
export function memoryMove(descriptor: Descriptor, memory: DeviceMemory): Transfer {
  const distance = descriptor.destination - descriptor.source;
  const backwards = distance > 0n && distance < BigInt(descriptor.size);
  return backwards ? new BackwardMove(descriptor, memory) : new ForwardMove(descriptor, memory);
}

class ForwardMove implements Transfer {
  readonly weight = 1;
  readonly #source: bigint;
  readonly #destination: bigint;
  readonly #size: number;
  #done = 0;

  constructor(
    descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {
    this.#source = descriptor.source;
    this.#destination = descriptor.destination;
    this.#size = descriptor.size;
  }

  advance(bytes: number): Outcome | undefined {
    const end = Math.min(this.#size, this.#done + bytes);
    while (this.#done < end) {
      const offset = BigInt(this.#done);
      const source = this.memory.read(this.#source + offset, end - this.#done);
      if (source instanceof AccessFault) return this.memory.outcomeOf(source, this.#done);
      const fault = this.memory.write(this.#destination + offset, source);
      this.#done += fault?.completed ?? source.length;
      if (fault !== undefined) return this.memory.outcomeOf(fault, this.#done);
    }
    return this.#done === this.#size ? { status: Status.success } : undefined;
  }
}

/** Pages that a backward copy moves at a time: small enough that one is in one map, as a rule. */
const BLOCK_BYTES = 4096;

class BackwardMove implements Transfer {
  /** Each block costs two views; measured at a third of the speed of large copies. */
  readonly weight = 4;
  readonly #source: bigint;
  readonly #destination: bigint;
  /** Bytes from the start that are still to be copied. */
  #left: number;
  readonly #size: number;

  constructor(
    descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {
    this.#source = descriptor.source;
    this.#destination = descriptor.destination;
    this.#size = descriptor.size;
    this.#left = descriptor.size;
  }

  advance(bytes: number): Outcome | undefined {
    const end = Math.max(0, this.#left - bytes);
    while (this.#left > end) {
      const start = this.#blockStart();
      const block = this.#gather(start, this.#left);
      if (block instanceof AccessFault) return this.#outcomeOf(block);
      const fault = this.memory.write(this.#destination + BigInt(start), block);
      if (fault !== undefined) return this.#outcomeOf(fault);
      this.#left = start;
    }
    return this.#left === 0 ? { status: Status.success } : undefined;
  }

  /** So that neither the block's source nor its destination crosses a page: a fault then loses nothing of the block. */
  #blockStart(): number {
    const last = BigInt(this.#left - 1);
    const inPage = (address: bigint) => Number((address + last) & BigInt(BLOCK_BYTES - 1)) + 1;
    return Math.max(0, this.#left - Math.min(inPage(this.#source), inPage(this.#destination)));
  }

  #gather(start: number, end: number): Uint8Array | AccessFault {
    const first = this.memory.read(this.#source + BigInt(start), end - start);
    if (first instanceof AccessFault || first.length === end - start) return first;
    const block = new Uint8Array(end - start);
    block.set(first);
    for (let done = first.length; done < block.length;) {
      const part = this.memory.read(this.#source + BigInt(start + done), block.length - done);
      if (part instanceof AccessFault) return part;
      block.set(part, done);
      done += part.length;
    }
    return block;
  }

  #outcomeOf(fault: AccessFault): Outcome {
    return this.memory.outcomeOf(fault, this.#size - this.#left, { result: 1 });
  }
}
