import type { DmaRegion } from "@vfio-selftests/core";
import { Layout, MAX_BATCHES } from "./region-layout";
import { DESCRIPTOR_BYTES, Flag, Opcode, PRIVILEGED, RECORD_BYTES, STATUS_MASK } from "./registers";

const DESCRIPTOR_WORDS = DESCRIPTOR_BYTES / 4;
const RECORD_WORDS = RECORD_BYTES / 4;

/** A completion record as the device wrote it. */
export interface CompletionRecord {
  /** With the write bit of a fault. */
  readonly status: number;
  readonly completed: number;
  readonly faultAddress: bigint;
}

/** The fields of a copy that do not depend on where it is written. */
export interface Copy {
  readonly source: bigint;
  readonly destination: bigint;
  readonly size: number;
  readonly flags: number;
  /** MSI-X vector of the completion interrupt, with the flag that asks for it; else 0. */
  readonly vector: number;
}

/** Descriptors and completion records in the driver's region, by 32-bit words. */
export class Descriptors {
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;

  constructor(private readonly region: DmaRegion) {
    this.bytes = region.bytes;
    this.#words = region.words();
  }

  /** The first copy descriptor, and `count - 1` more of the same after it. */
  writeCopies(copy: Copy, count: number): void {
    this.#write(Layout.copies, Opcode.memoryMove, copy.flags, Layout.copyRecord, {
      first: copy.source,
      second: copy.destination,
      size: copy.size,
      vector: copy.vector,
    });
    const start = Layout.copies / 4;
    // Doubling what is there: a few long moves instead of one per descriptor.
    for (let done = 1; done < count; done *= 2) {
      const more = Math.min(done, count - done) * DESCRIPTOR_WORDS;
      this.#words.copyWithin(start + done * DESCRIPTOR_WORDS, start, start + more);
    }
  }

  /** Batch descriptor `index` of the first `count` copies; gives its offset. */
  writeBatch(index: number, count: number): number {
    const offset = Layout.batches + index * DESCRIPTOR_BYTES;
    const flags = Flag.completionAddressValid | Flag.requestCompletionRecord;
    this.#write(offset, Opcode.batch, flags, Layout.batchRecords + index * RECORD_BYTES, {
      first: this.region.iovaOf(Layout.copies),
      second: 0n,
      size: count,
      vector: 0,
    });
    return offset;
  }

  /** All completion records, so that a status tells of what follows. */
  clearRecords(): void {
    const start = Layout.copyRecord / 4;
    this.#words.fill(0, start, start + RECORD_WORDS * (1 + MAX_BATCHES));
  }

  /** Operation status of the completion record at `offset`; 0 while the device has not written it. */
  status(offset: number): number {
    return Atomics.load(this.#words, offset / 4) & STATUS_MASK;
  }

  record(offset: number): CompletionRecord {
    const word = (n: number) => Atomics.load(this.#words, offset / 4 + n);
    return {
      status: word(0) & 0xff,
      completed: word(1),
      faultAddress: BigInt(word(2)) | (BigInt(word(3)) << 32n),
    };
  }

  #write(
    offset: number,
    opcode: number,
    flags: number,
    record: number,
    fields: { readonly first: bigint; readonly second: bigint; readonly size: number; readonly vector: number },
  ): void {
    const words = this.#words;
    const at = offset / 4;
    // The queue is dedicated and without PASID: the device ignores who submits. Upstream says the kernel.
    words[at] = PRIVILEGED;
    words[at + 1] = flags | (opcode << 24);
    this.#writeAddress(at + 2, this.region.iovaOf(record));
    this.#writeAddress(at + 4, fields.first);
    this.#writeAddress(at + 6, fields.second);
    words[at + 8] = fields.size;
    words[at + 9] = fields.vector;
    words.fill(0, at + 10, at + DESCRIPTOR_WORDS);
  }

  #writeAddress(at: number, address: bigint): void {
    this.#words[at] = Number(address & 0xffff_ffffn);
    this.#words[at + 1] = Number(address >> 32n);
  }
}
