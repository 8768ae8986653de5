import type { Outcome } from "./completion-record";
import type { Descriptor } from "./descriptor";
import type { DeviceMemory } from "./device-memory";
import { Status } from "./status-codes";
import type { Transfer } from "./transfer";

const PATTERN_BYTES = 8;
const BLOCK_BYTES = 64 * 1024;

/** Section 8.3.5, with a pattern of 8 bytes. */
export class Fill implements Transfer {
  readonly weight = 1;
  readonly #destination: bigint;
  readonly #size: number;
  /** The pattern over and over, from its first byte on. */
  readonly #block: Uint8Array;
  #done = 0;

  constructor(
    descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {
    this.#destination = descriptor.destination;
    this.#size = descriptor.size;
    const pattern = descriptor.bytes.subarray(16, 16 + PATTERN_BYTES);
    const length = Math.min(BLOCK_BYTES, Math.ceil(descriptor.size / PATTERN_BYTES) * PATTERN_BYTES) + PATTERN_BYTES;
    this.#block = Buffer.alloc(length, pattern);
  }

  advance(bytes: number): Outcome | undefined {
    const end = Math.min(this.#size, this.#done + bytes);
    while (this.#done < end) {
      const phase = this.#done % PATTERN_BYTES;
      const length = Math.min(end - this.#done, this.#block.length - PATTERN_BYTES);
      const fault = this.memory.write(
        this.#destination + BigInt(this.#done),
        this.#block.subarray(phase, phase + length),
      );
      this.#done += fault?.completed ?? length;
      if (fault !== undefined) return this.memory.outcomeOf(fault, this.#done);
    }
    return this.#done === this.#size ? { status: Status.success } : undefined;
  }
}
