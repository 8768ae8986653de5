import type { DmaRegion } from "@vfio-selftests/core";
import { Layout, MAX_BATCHES } from "./region-layout";
import { DESCRIPTOR_BYTES, Flag, Opcode, PRIVILEGED, RECORD_BYTES, STATUS_MASK } from "./registers";

const DESCRIPTOR_WORDS = DESCRIPTOR_BYTES / 4;
const RECORD_WORDS = RECORD_BYTES / 4;

/** A completion record as the device wrote it. */
export interface CompletionRecord {
  /** Operation status, with the write bit of a fault. */
  readonly status: number;
  readonly completed: number;
  readonly faultAddress: bigint;
}

/** Descriptors and completion records in the driver's region, as 32-bit words. */
export class Descriptors {
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #quadwords: BigUint64Array;
  /** IOVAs that descriptors name. */
  readonly #copies: bigint;
  readonly #copyRecord: bigint;
  readonly #batchRecords: readonly bigint[];

  constructor(region: DmaRegion) {
    this.bytes = region.bytes;
    this.#words = region.words();
    this.#quadwords = new BigUint64Array(region.bytes.buffer, region.bytes.byteOffset, Layout.size / 8);
    this.#copies = region.iovaOf(Layout.copies);
    this.#copyRecord = region.iovaOf(Layout.copyRecord);
    this.#batchRecords = Array.from({ length: MAX_BATCHES }, (_, i) =>
      region.iovaOf(Layout.batchRecords + i * RECORD_BYTES),
    );
  }

  /**
   * Writes the first copy descriptor. `vector` is the MSI-X vector of the completion interrupt, if `flags` ask for one;
   * else 0.
   */
  writeCopy(source: bigint, destination: bigint, size: number, flags: number, vector: number): void {
    this.#write(Layout.copies, Opcode.memoryMove, flags, size, vector);
    this.#writeAddresses(Layout.copies, this.#copyRecord, source, destination);
  }

  /** Makes `count` descriptors alike, starting from the first copy descriptor. */
  repeatCopy(count: number): void {
    const start = Layout.copies / 4;
    // Each move doubles what is there: a few long moves instead of one per descriptor.
    for (let done = 1; done < count; done *= 2) {
      const more = Math.min(done, count - done) * DESCRIPTOR_WORDS;
      this.#words.copyWithin(start + done * DESCRIPTOR_WORDS, start, start + more);
    }
  }

  /** Writes batch descriptor `index`, for the first `count` copies. Returns its offset. */
  writeBatch(index: number, count: number): number {
    const offset = Layout.batches + index * DESCRIPTOR_BYTES;
    const flags = Flag.completionAddressValid | Flag.requestCompletionRecord;
    this.#write(offset, Opcode.batch, flags, count, 0);
    this.#writeAddresses(offset, this.#batchRecords[index] as bigint, this.#copies, 0n);
    return offset;
  }

  /** Clears all completion records, so that a status belongs to a descriptor submitted later. */
  clearRecords(): void {
    const start = Layout.copyRecord / 4;
    this.#words.fill(0, start, start + RECORD_WORDS * (1 + MAX_BATCHES));
  }

  /** Operation status of the completion record at `offset`; 0 until the device writes it. */
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

  #write(offset: number, opcode: number, flags: number, size: number, vector: number): void {
    const words = this.#words;
    const at = offset / 4;
    // The queue is dedicated and without PASID, so the device ignores the submitter. Upstream says the kernel.
    words[at] = PRIVILEGED;
    words[at + 1] = flags | (opcode << 24);
    words[at + 8] = size;
    words[at + 9] = vector;
    words.fill(0, at + 10, at + DESCRIPTOR_WORDS);
  }

  #writeAddresses(offset: number, record: bigint, first: bigint, second: bigint): void {
    const at = offset / 8;
    this.#quadwords[at + 1] = record;
    this.#quadwords[at + 2] = first;
    this.#quadwords[at + 3] = second;
  }
}
