import type { IovaRange } from "../contracts/iommu";
import type { DmaMapping } from "../contracts/memory";
import { IovaAllocator, type IovaRequest } from "./iova-allocator";
import { PAGE_SIZE } from "./page-number";

/** IOVAs kept free of automatic mappings. */
export interface IovaReservation extends Disposable {
  /** The first address. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number;
  /** Gives the IOVAs back. Idempotent. Throws ERR_STILL_MAPPED while something is mapped there. */
  release(): void;
}

/**
 * The free IOVAs of an address space: an allocator over the kernel's ranges, without the mapped and reserved IOVAs. The
 * space makes it at first need, and again when the ranges change.
 *
 * Automatic mappings leave page 0 out, so that a device that follows a null pointer faults.
 */
export class IovaSpace {
  readonly #ranges: () => readonly IovaRange[];
  readonly #mappings: Iterable<DmaMapping>;
  readonly #reservations = new Set<IovaReservation>();
  /** The parts that the allocator gave for mappings that lie partly in a reservation or outside the ranges. */
  readonly #partial = new Map<bigint, readonly IovaRange[]>();
  #allocator: IovaAllocator | undefined;

  constructor(ranges: () => readonly IovaRange[], mappings: Iterable<DmaMapping>) {
    this.#ranges = ranges;
    this.#mappings = mappings;
  }

  allocate(length: number, request: IovaRequest): bigint {
    return this.#current().allocate(length, request);
  }

  /** Takes note of a mapping at an IOVA that was not allocated here. */
  mapped(iova: bigint, length: number): void {
    if (this.#allocator !== undefined) this.#take(this.#allocator, iova, length);
  }

  unmapped(iova: bigint, length: number): void {
    if (this.#allocator !== undefined) this.#giveBack(this.#allocator, iova, length);
  }

  allUnmapped(): void {
    this.rangesChanged();
  }

  rangesChanged(): void {
    this.#allocator = undefined;
    this.#partial.clear();
  }

  /** Calls `requireUnmapped` with the first and the last address before a release. */
  reserve(
    length: number,
    request: IovaRequest,
    requireUnmapped: (first: bigint, last: bigint) => void,
  ): IovaReservation {
    const iova = this.#current().allocate(length, request);
    const reservations = this.#reservations;
    // The ranges may have shrunk since. A new allocator starts from the current state.
    const giveBack = () => this.rangesChanged();
    const reservation: IovaReservation = {
      iova,
      length,
      release() {
        if (!reservations.has(reservation)) return;
        requireUnmapped(iova, iova + BigInt(length) - 1n);
        reservations.delete(reservation);
        giveBack();
      },
      [Symbol.dispose]() {
        this.release();
      },
    };
    reservations.add(reservation);
    return reservation;
  }

  #take(allocator: IovaAllocator, iova: bigint, length: number): void {
    if (!allocator.take(iova, length)) this.#partial.set(iova, allocator.reserve(iova, length));
  }

  #giveBack(allocator: IovaAllocator, iova: bigint, length: number): void {
    const parts = this.#partial.size === 0 ? undefined : this.#partial.get(iova);
    if (parts === undefined) {
      allocator.free(iova, length);
      return;
    }
    this.#partial.delete(iova);
    for (const { start, last } of parts) allocator.free(start, Number(last - start) + 1);
  }

  #current(): IovaAllocator {
    if (this.#allocator !== undefined) return this.#allocator;
    const allocator = new IovaAllocator(this.#ranges());
    allocator.reserve(0n, PAGE_SIZE);
    for (const { iova, length } of this.#reservations) allocator.reserve(iova, length);
    this.#allocator = allocator;
    for (const { iova, length } of this.#mappings) this.mapped(iova, length);
    return allocator;
  }
}
