import type { DmaAccess } from "../contracts/iommu";
import type { MappableMemory } from "../contracts/memory";
import { argumentError, closedError, VfioError } from "../errors/vfio-error";

/** The address space that a region belongs to. */
export interface RegionOwner {
  unmap(region: DmaRegion): bigint;
}

const NOWHERE = -1;

/** What only the address space may do to a region. */
interface RegionState {
  readonly create: (
    owner: RegionOwner,
    iova: bigint,
    length: number,
    access: DmaAccess,
    memory: MappableMemory,
    offset: number,
  ) => DmaRegion;
  /** Place in the owner's table; below 0 for a region outside it. */
  readonly slotOf: (region: DmaRegion) => number;
  readonly setSlot: (region: DmaRegion, slot: number) => void;
  /** Takes note that the region is in no table any more. */
  readonly clearSlot: (region: DmaRegion) => void;
}

let state!: RegionState;

/**
 * Memory mapped at an I/O virtual address. Only `Iommu.map` makes regions, and only their Iommu decides what is mapped.
 * A region only reports it.
 */
export class DmaRegion implements Disposable {
  /** I/O virtual address of the first byte. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number;
  /** What the device may do with it. */
  readonly access: DmaAccess;
  /** The mapped memory. */
  readonly memory: MappableMemory;
  /** First byte of the region in `memory`. */
  readonly offset: number;
  readonly #owner: RegionOwner;
  /** Place in the owner's table; NOWHERE once unmapped. */
  #slot = NOWHERE;
  #view: Uint8Array | undefined = undefined;

  private constructor(
    owner: RegionOwner,
    iova: bigint,
    length: number,
    access: DmaAccess,
    memory: MappableMemory,
    offset: number,
  ) {
    this.#owner = owner;
    this.iova = iova;
    this.length = length;
    this.access = access;
    this.memory = memory;
    this.offset = offset;
  }

  static {
    state = {
      create: (owner, iova, length, access, memory, offset) =>
        new DmaRegion(owner, iova, length, access, memory, offset),
      slotOf: (region) => region.#slot,
      setSlot: (region, slot) => {
        region.#slot = slot;
      },
      clearSlot: (region) => {
        region.#slot = NOWHERE;
      },
    };
  }

  /** False once unmapped, by any call. */
  get mapped(): boolean {
    return this.#slot !== NOWHERE;
  }

  /** Address of the first byte in this process. */
  get address(): bigint {
    return this.offset === 0 ? this.memory.address : this.memory.address + BigInt(this.offset);
  }

  /**
   * The region's bytes, the same view at every call. Throws ERR_NOT_MEMORY for device registers, and ERR_CLOSED once
   * the memory is closed.
   */
  get bytes(): Uint8Array {
    if (this.#view === undefined || this.memory.closed) {
      this.#view = new Uint8Array(this.#buffer(), this.offset, this.length);
    }
    return this.#view;
  }

  /** The region as 32-bit words. Every call makes a new view, so keep it. `offset` is a multiple of 4. */
  words(): Uint32Array {
    if (this.offset % 4 !== 0) throw argumentError("DmaRegion.words", "offset", this.offset, "multiples of 4");
    return new Uint32Array(this.#buffer(), this.offset, this.length >>> 2);
  }

  /** IOVA of the region's byte `offset` (0 to its length). */
  iovaOf(offset: number): bigint {
    if (!Number.isInteger(offset) || offset < 0 || offset > this.length) {
      throw argumentError("DmaRegion.iovaOf", "offset", offset, `0 to ${this.length}`);
    }
    return this.iova + BigInt(offset);
  }

  /** Unmaps. Returns how many bytes the kernel unmapped, 0 if it was unmapped before. */
  unmap(): bigint {
    return this.mapped ? this.#owner.unmap(this) : 0n;
  }

  [Symbol.dispose](): void {
    this.unmap();
  }

  #buffer(): ArrayBuffer {
    if (this.memory.closed) throw closedError("DmaRegion.bytes", "the region's memory");
    if (this.memory.buffer === undefined) {
      throw new VfioError("a region of device registers has no buffer", {
        code: "ERR_NOT_MEMORY",
        operation: "DmaRegion.bytes",
        remedy: "use the BAR's accessors",
      });
    }
    return this.memory.buffer;
  }
}

/** For this folder only: the package's entries do not export it. */
export const regionState = state;
