import type { Outcome } from "./completion-record";
import { Crc32c } from "./crc32c";
import type { Descriptor } from "./descriptor";
import { AccessFault, type DeviceMemory } from "./device-memory";
import { Flag, Opcode } from "./operations";
import { Status } from "./status-codes";
import type { Transfer } from "./transfer";

const SEED_BYTES = 4;

/** CRC Generation and Copy with CRC Generation (sections 8.3.12 and 8.3.13), 32 bits wide. */
export class CrcGeneration implements Transfer {
  /** Some 2 GB/s: a tenth of a copy. */
  readonly weight = 10;
  readonly #descriptor: Descriptor;
  readonly #size: number;
  readonly #copies: boolean;
  #crc: Crc32c | undefined;
  #done = 0;

  constructor(
    descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {
    this.#descriptor = descriptor;
    this.#size = descriptor.size;
    this.#copies = descriptor.opcode === Opcode.copyWithCrc;
  }

  advance(bytes: number): Outcome | undefined {
    const seed = this.#crc === undefined ? this.#seed() : undefined;
    if (seed instanceof AccessFault) return this.memory.outcomeOf(seed, 0);
    const crc = (this.#crc ??= new Crc32c(seed ?? 0, {
      bypassInversion: this.#descriptor.has(Flag.bypassCrcInversion),
      bypassDataReflection: this.#descriptor.has(Flag.bypassDataReflection),
    }));
    const end = Math.min(this.#size, this.#done + bytes);
    while (this.#done < end) {
      const fault = this.#copies ? this.#copyAndSum(crc, end) : this.#sum(crc, end);
      if (fault !== undefined) return this.memory.outcomeOf(fault, this.#done, { crc: crc.value });
    }
    return this.#done === this.#size ? { status: Status.success, crc: crc.value } : undefined;
  }

  #seed(): number | AccessFault {
    if (!this.#descriptor.has(Flag.readCrcSeed)) return this.#descriptor.crcSeed;
    // Aligned, so it lies in one page and comes whole.
    const bytes = this.memory.read(this.#descriptor.crcSeedAddress, SEED_BYTES);
    if (bytes instanceof AccessFault) return bytes;
    return new DataView(bytes.buffer, bytes.byteOffset, SEED_BYTES).getUint32(0, true);
  }

  #sum(crc: Crc32c, end: number): AccessFault | undefined {
    const source = this.memory.read(this.#descriptor.source + BigInt(this.#done), end - this.#done);
    if (source instanceof AccessFault) return source;
    crc.update(source);
    this.#done += source.length;
    return undefined;
  }

  #copyAndSum(crc: Crc32c, end: number): AccessFault | undefined {
    const offset = BigInt(this.#done);
    const read = this.memory.read(this.#descriptor.source + offset, end - this.#done);
    if (read instanceof AccessFault) return read;
    // What was copied is what is summed, even if software changes the source meanwhile.
    const source = read.slice();
    const fault = this.memory.write(this.#descriptor.destination + offset, source);
    const copied = fault?.completed ?? source.length;
    crc.update(source.subarray(0, copied));
    this.#done += copied;
    return fault;
  }
}
