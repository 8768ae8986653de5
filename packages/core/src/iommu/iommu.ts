import type { DmaAccess, IommuBackend, IovaRange, OpenDeviceOptions } from "../contracts/iommu";
import type { MappableMemory } from "../contracts/memory";
import type { VfioDevice } from "../contracts/vfio-device";
import { argumentError, closedError, VfioError } from "../errors/vfio-error";
import { closeAll } from "../ownership/close-all";
import { OwnedHandles } from "../ownership/owned-handles";
import { useUntilSettled } from "../ownership/use-until-settled";
import { type DmaRegion, regionState } from "./dma-region";
import type { IovaRequest } from "./iova-allocator";
import type { IovaReservation } from "./iova-space";
import { accessError, areaError, fixedIova, isAccess, isArea, requireAddress } from "./map-arguments";
import { MappingBooks } from "./mapping-books";
import { toBigint } from "./page-number";

/** Where and how to map memory. */
export interface MapOptions extends IovaRequest {
  /**
   * Where to map. Absent: `Iommu` takes a free IOVA, in every mode alike. `kernel`: the kernel chooses, in modes whose
   * back end `choosesIova` (iommufd). The kernel does not know which IOVAs are reserved here, and aligns to 2 MiB at
   * most.
   */
  iova?: bigint | "kernel";
  /** First byte of the memory to map. Default 0. */
  offset?: number;
  /** Bytes to map. Default: to the end of the memory. */
  length?: number;
  /** What the device may do. Default `read-write`. */
  access?: DmaAccess;
}

/** Something that ends with its address space, because it is built on one of its devices. */
export interface IommuChild {
  close(): void;
}

/** A copy, for the hot path: see FIXED_IOVA in iommu-modes/src/requests/iommufd.ts. */
const { create: createRegion } = regionState;

const DEFAULTS: MapOptions = {};
const SPACE_END = 1n << 64n;

/**
 * One I/O address space: the bookkeeping over a back end's few operations. Several devices may share it.
 *
 * IOVAs are bigint, lengths number. A refusal by the kernel is a VfioError with the kernel's errno. This class repeats
 * none of the kernel's checks, so the kernel's answers come through.
 */
export class Iommu implements Disposable {
  /** The operations of the mode. Calling them directly bypasses the books. */
  readonly backend: IommuBackend;
  readonly #books: MappingBooks;
  readonly #devices = new OwnedHandles<VfioDevice>();
  readonly #children = new Set<IommuChild>();
  #closed = false;

  /** Owns the back end from now on. */
  constructor(backend: IommuBackend) {
    this.backend = backend;
    this.#books = new MappingBooks(this, () => backend.iovaRanges());
  }

  /** Name of the mode, in upstream's spelling. */
  get mode(): string {
    return this.backend.mode;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Mapped regions, by rising IOVA. */
  get regions(): readonly DmaRegion[] {
    return this.#books.regions.sorted();
  }

  /** Opens a device into this address space. The device closes with the Iommu, if not before. */
  openDevice(address: string, options: OpenDeviceOptions = {}): VfioDevice {
    this.#requireOpen("openDevice");
    const device = this.#devices.add(this.backend.openDevice(address, options));
    // A device brings reserved ranges of its own.
    this.#books.space.rangesChanged();
    return device;
  }

  /**
   * Closes the child with this address space, before its devices, the last adopted first. Returns a function that
   * releases it.
   */
  adopt(child: IommuChild): () => void {
    this.#requireOpen("adopt");
    this.#children.add(child);
    return () => void this.#children.delete(child);
  }

  /**
   * Maps memory for DMA. Errors: `ERR_CLOSED` for closed memory, `ERR_INVALID_ARGUMENT` for an area outside the memory,
   * `ERR_NO_IOVA`, and the kernel's: `EEXIST`, `EINVAL`, `EOVERFLOW`, `ENOMEM`, …
   */
  map(memory: MappableMemory, options: MapOptions = DEFAULTS): DmaRegion {
    const { offset = 0, access = "read-write", iova: wanted } = options;
    const { length = typeof offset === "number" ? memory.length - offset : 0 } = options;
    if (this.#closed || memory.closed || !isArea(offset, length, memory.length) || !isAccess(access)) {
      throw mapError(this, memory, offset, length, access);
    }
    let iova: bigint;
    if (wanted === undefined) {
      iova = this.#mapAnywhere(memory, offset, length, access, options);
    } else {
      iova = this.backend.map(memory, offset, length, fixedIova(wanted, this.backend), access);
      this.#books.space.mapped(iova, length);
    }
    const region = createRegion(this, iova, length, access, memory, offset);
    this.#books.add(region);
    return region;
  }

  /** Maps, calls `use`, and unmaps when `use` returns, throws, or its promise (or other thenable) settles. */
  withMapping<Result>(
    memory: MappableMemory,
    options: MapOptions,
    use: (region: DmaRegion) => PromiseLike<Result>,
  ): Promise<Result>;
  withMapping<Result>(memory: MappableMemory, options: MapOptions, use: (region: DmaRegion) => Result): Result;
  withMapping(memory: MappableMemory, options: MapOptions, use: (region: DmaRegion) => unknown): unknown {
    const region = this.map(memory, options);
    return useUntilSettled(
      "withMapping",
      () => use(region),
      () => void region.unmap(),
    );
  }

  /** Unmaps one region. Returns how many bytes the kernel says it unmapped. */
  unmap(region: DmaRegion): bigint {
    if (!this.#books.regions.has(region)) throw this.#notMine(region);
    const bytes = this.#unmapArea(region.iova, toBigint(region.length));
    this.#books.remove(region);
    return bytes;
  }

  /**
   * Unmaps whatever lies in an area. Returns how many bytes the kernel says it unmapped. The mode decides whether an
   * area may cut through a mapping. type1v2 and iommufd refuse (`EINVAL`, `ENOENT`). type1 takes away the whole mapping
   * if the area contains its start, and nothing (0 bytes) if the area starts inside it. type1 on iommufd cuts. After a
   * cut, each remaining piece is a new region ({@link regionAt}). A failed unmap may have taken a part, because iommufd
   * goes mapping by mapping. The books then match what is left.
   */
  unmapRange(iova: bigint, length: bigint): bigint {
    this.#requireOpen("unmapRange");
    requireAddress("unmapRange", "iova", iova);
    requireAddress("unmapRange", "length", length);
    const bytes = this.#unmapArea(iova, length);
    if (bytes > 0n) this.#books.unmapped(iova, iova + length, bytes);
    return bytes;
  }

  /** Unmaps everything. Returns how many bytes the kernel says it unmapped. */
  unmapAll(): bigint {
    this.#requireOpen("unmapAll");
    let bytes: bigint;
    try {
      bytes = this.backend.unmapAll();
    } catch (error) {
      this.#recount(0n, SPACE_END);
      throw error;
    }
    this.#books.clear();
    return bytes;
  }

  /** The region that holds an IOVA. */
  regionAt(iova: bigint): DmaRegion | undefined {
    requireAddress("regionAt", "iova", iova);
    return this.#books.regions.atIova(iova);
  }

  /**
   * The IOVA of an address of this process; undefined if the address is not mapped. If it has several mappings, any of
   * them.
   */
  iovaOf(address: bigint): bigint | undefined {
    requireAddress("iovaOf", "address", address);
    const region = this.#books.regions.atAddress(address);
    return region === undefined ? undefined : region.iova + (address - region.address);
  }

  /**
   * Usable IOVAs, as the kernel reports them now: sorted, disjoint, ends inclusive. Modes on containers need a device
   * first.
   */
  iovaRanges(): readonly IovaRange[] {
    this.#requireOpen("iovaRanges");
    return this.backend.iovaRanges();
  }

  /** Bit n set: the IOMMU has pages of 2^n bytes. */
  pageSizes(): bigint {
    this.#requireOpen("pageSizes");
    return this.backend.pageSizes();
  }

  /** Keeps IOVAs free of automatic mappings until released. A map that names them is still allowed. */
  reserveIova(length: number, request: IovaRequest = {}): IovaReservation {
    this.#requireOpen("reserveIova");
    return this.#books.space.reserve(length, request, (first, last) => {
      const inside = [...this.#books.regions].find(
        (region) => region.iova <= last && region.iova + BigInt(region.length) > first,
      );
      if (inside === undefined) return;
      throw new VfioError(`release: IOVA 0x${inside.iova.toString(16)} of the reservation is still mapped`, {
        code: "ERR_STILL_MAPPED",
        operation: "release",
        remedy: "unmap the region first",
      });
    });
  }

  /**
   * Closes adopted children and the devices opened here (each last first), then the address space. The kernel ends every
   * mapping with the address space: this makes no unmap. Idempotent. It completes all its steps, whatever a step throws.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const children = [...this.#children].reverse();
    this.#children.clear();
    closeAll(`Iommu ${this.mode}`, [
      () => this.#books.clear(),
      ...children.map((child) => () => child.close()),
      ...this.#devices.closing(),
      () => this.backend.close(),
    ]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Maps at a free IOVA, which it returns. */
  #mapAnywhere(
    memory: MappableMemory,
    offset: number,
    length: number,
    access: DmaAccess,
    request: IovaRequest,
  ): bigint {
    const free = this.#books.space.allocate(length, request);
    try {
      return this.backend.map(memory, offset, length, free, access);
    } catch (error) {
      this.#books.space.unmapped(free, length);
      throw error;
    }
  }

  /** Unmaps by the back end. If it fails, the books match what it left. */
  #unmapArea(iova: bigint, length: bigint): bigint {
    try {
      return this.backend.unmap(iova, length);
    } catch (error) {
      this.#recount(iova, iova + length);
      throw error;
    }
  }

  /** Drops the mappings that a failed unmap took. It asks the back end, where that can happen. */
  #recount(start: bigint, end: bigint): void {
    const { backend } = this;
    if (backend.isMapped === undefined) return;
    try {
      this.#books.recount(start, end < SPACE_END ? end : SPACE_END, (iova) => backend.isMapped?.(iova) ?? true);
    } catch {
      // The caller throws the unmap's error first. Mappings that the back end could not be asked about stay in the
      // books.
    }
  }

  #notMine(region: DmaRegion): VfioError {
    const name = `region at IOVA 0x${region.iova.toString(16)}`;
    if (!region.mapped) return closedError("unmap", name);
    return argumentError("unmap", "region", name, "a region of this address space; this one belongs to another");
  }

  #requireOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, `Iommu ${this.mode}`);
  }
}

/** What is wrong with the arguments of a map. */
function mapError(iommu: Iommu, memory: MappableMemory, offset: number, length: number, access: DmaAccess): VfioError {
  if (iommu.closed || memory.closed) return closedError("map", iommu.closed ? `Iommu ${iommu.mode}` : "the memory");
  return isArea(offset, length, memory.length) ? accessError(access) : areaError(offset, length, memory.length);
}
