import type { Outcome } from "./completion-record";
import type { Descriptor } from "./descriptor";
import { AccessFault, type DeviceMemory } from "./device-memory";
import { Status } from "./status-codes";
import type { Transfer } from "./transfer";

/** Memory Copy with Dualcast (section 8.3.10). */
export class Dualcast implements Transfer {
  readonly weight = 2;
  readonly #size: number;
  #done = 0;

  constructor(
    private readonly descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {
    this.#size = descriptor.size;
  }

  advance(bytes: number): Outcome | undefined {
    const end = Math.min(this.#size, this.#done + bytes);
    while (this.#done < end) {
      const offset = BigInt(this.#done);
      const first = this.descriptor.destination + offset;
      const second = this.descriptor.destination2 + offset;
      const direct = [first, second].map((address) => this.memory.directlyWritable(address, end - this.#done));
      const length = Math.min(end - this.#done, ...direct.filter((bytes) => bytes > 0));
      const read = this.memory.read(this.descriptor.source + offset, length);
      if (read instanceof AccessFault) return this.memory.outcomeOf(read, this.#done);
      const source = read.slice();
      // Both destinations stop at the same byte: the one that may fault goes first.
      const fault = direct[1] === 0 ? this.#writeBoth(second, first, source) : this.#writeBoth(first, second, source);
      this.#done += fault?.completed ?? source.length;
      if (fault !== undefined) return this.memory.outcomeOf(fault, this.#done);
    }
    return this.#done === this.#size ? { status: Status.success } : undefined;
  }

  #writeBoth(first: bigint, second: bigint, source: Uint8Array): AccessFault | undefined {
    const fault = this.memory.write(first, source);
    const written = fault?.completed ?? source.length;
    return this.memory.write(second, source.subarray(0, written)) ?? fault;
  }
}
