import type { DmaRegion } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import { Descriptor, Flag, LAST_ADDRESS, Result, SIZE_MASK } from "./registers.js";

/** Descriptors in the ring. One stays empty, so that the device finds an end. */
const RING_COUNT = 1024;
const RING_BYTES = RING_COUNT * Descriptor.bytes;
/** Behind the ring lie the 4 bytes that the copy of an interrupt moves, and where it moves them. */
const SCRATCH = { source: RING_BYTES, destination: RING_BYTES + 4, bytes: 4 } as const;

export const MAX_COPIES = RING_COUNT - 1;
export const RING_REGION_BYTES = RING_BYTES + 8;

/** Splits an address into halves without making objects: a copy's start and wait make none. */
const address = new BigUint64Array(1);
const halves = new Uint32Array(address.buffer);

/** The descriptors in the driver's DMA region. The device reads and writes them, too. */
export class DescriptorRing {
  readonly count = RING_COUNT;
  /** Halves of its I/O virtual address. */
  readonly iovaLow: number;
  readonly iovaHigh: number;
  readonly scratchSource: bigint;
  readonly scratchDestination: bigint;
  readonly scratchBytes = SCRATCH.bytes;
  readonly #words: Uint32Array;
  /** The descriptor that is written next; the first of the copies in progress, and how many they are. */
  #next = 0;
  #first = 0;
  #pending = 0;

  constructor(region: DmaRegion) {
    this.iovaLow = Number(region.iova & 0xffff_ffffn);
    this.iovaHigh = Number(region.iova >> 32n);
    this.scratchSource = region.iovaOf(SCRATCH.source);
    this.scratchDestination = region.iovaOf(SCRATCH.destination);
    this.#words = new Uint32Array(region.bytes.buffer, region.bytes.byteOffset, RING_BYTES / 4);
  }

  /** Makes every descriptor invalid. The device must not be at work. */
  clear(): void {
    this.#words.fill(0);
    this.#next = 0;
    this.#pending = 0;
  }

  // #region push
  /** Writes `count` descriptors of the same copy. The last has the flags. */
  push(source: bigint, destination: bigint, size: number, count: number, flags: number): void {
    if (source > LAST_ADDRESS || destination > LAST_ADDRESS) throw beyond(source, destination);
    this.#first = this.#next;
    this.#pending = count;
    for (let left = count; left > 0; left--) {
      const word = this.#next * Descriptor.words;
      address[0] = destination;
      this.#words[word + Descriptor.destinationLow] = halves[0] as number;
      const destinationHigh = halves[1] as number;
      address[0] = source;
      this.#words[word + Descriptor.sourceLow] = halves[0] as number;
      this.#words[word + Descriptor.highAddresses] = destinationHigh | ((halves[1] as number) << 16);
      // Last, because the device may be looking at this descriptor.
      const last = left === 1 ? flags : 0;
      Atomics.store(this.#words, word + Descriptor.flagsAndSize, size | last | Flag.valid);
      this.#next = (this.#next + 1) % RING_COUNT;
    }
  }

  /** Whether the device has written the last descriptor back. */
  get ended(): boolean {
    return this.#pending === 0 || (this.#flags(this.#pending - 1) & Flag.valid) === 0;
  }
  // #endregion push

  /** What the device says of the first copy that failed. Undefined when all went well. */
  failure(): string | undefined {
    for (let n = 0; n < this.#pending; n++) {
      const flags = this.#flags(n);
      if ((flags & Result.success) !== 0) continue;
      const what = (flags & Result.writeFailed) !== 0 ? "a write failed" : "a read failed";
      return `copy ${n + 1} of ${this.#pending}: ${what} after ${flags & SIZE_MASK} bytes`;
    }
    return undefined;
  }

  /** Word 0 of a descriptor of the copies in progress. */
  #flags(n: number): number {
    const position = (this.#first + n) % RING_COUNT;
    return Atomics.load(this.#words, position * Descriptor.words + Descriptor.flagsAndSize);
  }
}

function beyond(source: bigint, destination: bigint): Error {
  const [name, value] = source > LAST_ADDRESS ? (["source", source] as const) : (["destination", destination] as const);
  return argumentError("plx-dma memcpy", name, value, `addresses up to 0x${LAST_ADDRESS.toString(16)}`);
}
