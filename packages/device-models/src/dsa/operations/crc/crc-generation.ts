import type { Outcome } from "../../descriptors/completion-record";
import type { Descriptor } from "../../descriptors/descriptor";
import { AccessFault } from "../../descriptors/device-memory";
import { Flag } from "../../descriptors/flags";
import { Status } from "../../descriptors/status";
import { type ByteRange, type Job, type Operation, RECORD, WRITES } from "../operation";
import { overlap } from "../overlap";
import { Transfer } from "../transfer";
import { Crc32c } from "./crc32c";

const CRC_FLAGS = Flag.readCrcSeed | Flag.bypassCrcInversion | Flag.bypassDataReflection;

const SEED: readonly ByteRange[] = [[40, 43]];
const SEED_ADDRESS: readonly ByteRange[] = [[48, 55]];
const SEED_BYTES = 4;

/** Read CRC Seed reserves either the seed or its address, and with the address the traffic class of that read. */
const seedChecks = {
  refusedFlags: ({ flags }: Descriptor) => ((flags & Flag.readCrcSeed) === 0 ? flags & Flag.trafficClass3 : 0),
  moreReserved: (descriptor: Descriptor) => (descriptor.has(Flag.readCrcSeed) ? SEED : SEED_ADDRESS),
} as const;

/** CRC Generation (section 8.3.12), 32 bits wide. */
export const crcGeneration: Operation = {
  code: 0x10,
  name: "CRCGEN",
  flags: CRC_FLAGS | Flag.trafficClass1 | Flag.trafficClass3,
  required: RECORD,
  reserved: [
    [24, 31],
    [38, 39],
    [44, 47],
    [56, 63],
  ],
  size: "transfer size",
  ...seedChecks,
  refusedAddresses: (descriptor) => (seedMisaligned(descriptor) ? Status.misalignedAddress : undefined),
  start: (job) => new Summation(job),
};

/** Copy with CRC Generation (section 8.3.13), 32 bits wide. */
export const copyWithCrc: Operation = {
  code: 0x11,
  name: "COPY_CRC",
  flags: WRITES | CRC_FLAGS | Flag.trafficClass1 | Flag.trafficClass2 | Flag.trafficClass3,
  required: RECORD,
  reserved: [
    [38, 39],
    [44, 47],
    [56, 63],
  ],
  size: "transfer size",
  ...seedChecks,
  refusedAddresses: (descriptor) => {
    if (seedMisaligned(descriptor)) return Status.misalignedAddress;
    const { source, destination, size } = descriptor;
    return overlap(source, destination, size) ? Status.overlappingBuffers : undefined;
  },
  start: (job) => new SummingCopy(job),
};

function seedMisaligned(descriptor: Descriptor): boolean {
  return descriptor.has(Flag.readCrcSeed) && (descriptor.crcSeedAddress & 3n) !== 0n;
}

/** CRC Generation. A subclass may do more with the summed bytes. */
class Summation extends Transfer {
  #crc: Crc32c | undefined;

  constructor(job: Job) {
    // Some 2 GB/s: a tenth of a copy.
    super(job, 10);
  }

  protected override process(length: number): Outcome | undefined {
    if (this.#crc === undefined) {
      const seed = this.#seed();
      if (seed instanceof AccessFault) return this.memory.outcomeOf(seed, 0);
      this.#crc = new Crc32c(seed, {
        bypassInversion: this.descriptor.has(Flag.bypassCrcInversion),
        bypassDataReflection: this.descriptor.has(Flag.bypassDataReflection),
      });
    }
    const fault = this.sum(this.#crc, length);
    return fault === undefined ? undefined : this.memory.outcomeOf(fault, this.done, { crc: this.#crc.value });
  }

  protected override end(): Outcome {
    return { status: Status.success, crc: (this.#crc as Crc32c).value };
  }

  /** Sums some of the next `length` bytes, at least one, and adds their number to `done`. */
  protected sum(crc: Crc32c, length: number): AccessFault | undefined {
    const source = this.memory.read(this.descriptor.source + BigInt(this.done), length);
    if (source instanceof AccessFault) return source;
    crc.update(source);
    this.done += source.length;
    return undefined;
  }

  #seed(): number | AccessFault {
    if (!this.descriptor.has(Flag.readCrcSeed)) return this.descriptor.crcSeed;
    // The address is aligned, so the seed lies in one page and comes whole.
    const bytes = this.memory.read(this.descriptor.crcSeedAddress, SEED_BYTES);
    if (bytes instanceof AccessFault) return bytes;
    return new DataView(bytes.buffer, bytes.byteOffset, SEED_BYTES).getUint32(0, true);
  }
}

class SummingCopy extends Summation {
  protected override sum(crc: Crc32c, length: number): AccessFault | undefined {
    const offset = BigInt(this.done);
    const read = this.memory.read(this.descriptor.source + offset, length);
    if (read instanceof AccessFault) return read;
    // Sum exactly the copied bytes, even if software changes the source meanwhile.
    const source = read.slice();
    const fault = this.memory.write(this.descriptor.destination + offset, source);
    const copied = fault?.completed ?? source.length;
    crc.update(source.subarray(0, copied));
    this.done += copied;
    return fault;
  }
}
