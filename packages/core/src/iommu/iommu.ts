import type { DmaAccess, IommuBackend, IovaRange, OpenDeviceOptions } from "../contracts/iommu";
import type { MappableMemory } from "../contracts/memory";
import type { VfioDevice } from "../contracts/vfio-device";
import { argumentError, closedError, VfioError } from "../errors/vfio-error";
import { DmaRegion } from "./dma-region";
import type { IovaRequest } from "./iova-allocator";
import { IovaSpace, type IovaReservation } from "./iova-space";
import { toBigint } from "./page-number";
import { RegionTable } from "./region-table";

export interface MapOptions extends IovaRequest {
  /**
   * Where to map. Absent: taken from the free IOVAs, in every mode alike. `kernel`: the kernel chooses, in modes whose
   * back end `choosesIova` (iommufd); it knows nothing of IOVAs reserved here, and aligns to 2 MiB at most.
   */
  iova?: bigint | "kernel";
  /** First byte of the memory to map. Default 0. */
  offset?: number;
  /** Bytes to map. Default: to the end of the memory. */
  length?: number;
  /** What the device may do. Default `read-write`. */
  access?: DmaAccess;
}

const DEFAULTS: MapOptions = {};

/**
 * One I/O address space: the bookkeeping over a back end's few operations. Several devices may share it.
 *
 * IOVAs are bigint, lengths number. What the kernel refuses is a VfioError with the kernel's errno; nothing is checked
 * here that the kernel checks, so that its answers come through.
 */
export class Iommu implements Disposable {
  readonly #regions = new RegionTable();
  readonly #space: IovaSpace;
  #devices: VfioDevice[] = [];
  #closed = false;

  constructor(readonly backend: IommuBackend) {
    this.#space = new IovaSpace(() => backend.iovaRanges(), this.#regions);
  }

  /** Name of the mode, as upstream spells it. */
  get mode(): string {
    return this.backend.mode;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Mapped regions, by rising IOVA. */
  get regions(): readonly DmaRegion[] {
    return this.#regions.sorted();
  }

  /** Opens a device into this address space. It is closed with the Iommu, if not before. */
  openDevice(address: string, options: OpenDeviceOptions = {}): VfioDevice {
    this.#requireOpen("openDevice");
    const device = this.backend.openDevice(address, options);
    this.#devices = this.#devices.filter((known) => !known.closed);
    this.#devices.push(device);
    // A device brings reserved ranges of its own.
    this.#space.rangesChanged();
    return device;
  }

  /**
   * Maps memory for DMA. Errors: `ERR_CLOSED` for closed memory, `ERR_INVALID_ARGUMENT` for an area outside the memory,
   * `ERR_NO_IOVA`, and the kernel's: `EEXIST`, `EINVAL`, `EOVERFLOW`, `ENOMEM`, …
   */
  map(memory: MappableMemory, options: MapOptions = DEFAULTS): DmaRegion {
    if (this.#closed) throw closedError("map", `Iommu ${this.mode}`);
    if (memory.closed) throw closedError("map", "the memory");
    const offset = options.offset ?? 0;
    const length = options.length ?? memory.length - offset;
    if (
      !(Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0) ||
      offset + length > memory.length
    ) {
      throw argumentError("map", "area", `${offset} + ${length}`, `inside the memory's ${memory.length} bytes`);
    }
    const access = options.access ?? "read-write";

    const wanted = options.iova;
    let iova: bigint;
    if (wanted === undefined) {
      const free = this.#space.allocate(length, options);
      try {
        iova = this.backend.map(memory, offset, length, free, access);
      } catch (error) {
        this.#space.unmapped(free, length);
        throw error;
      }
    } else {
      iova = this.backend.map(memory, offset, length, this.#fixed(wanted), access);
      this.#space.mapped(iova, length);
    }

    const region = new DmaRegion(this, iova, length, access, memory, offset);
    this.#regions.add(region);
    memory.addMapping?.(region);
    return region;
  }

  /** Maps, calls `use`, and unmaps when it returns, throws, or its promise settles. */
  withMapping<Result>(memory: MappableMemory, options: MapOptions, use: (region: DmaRegion) => Result): Result {
    const region = this.map(memory, options);
    let result: Result;
    try {
      result = use(region);
    } catch (error) {
      region.unmap();
      throw error;
    }
    if (result instanceof Promise) {
      return result.finally(() => region.unmap()) as Result;
    }
    region.unmap();
    return result;
  }

  /** Unmaps one region; gives the bytes that the kernel says it unmapped. */
  unmap(region: DmaRegion): bigint {
    if (!region.mapped) throw closedError("unmap", `region at IOVA 0x${region.iova.toString(16)}`);
    const bytes = this.backend.unmap(region.iova, toBigint(region.length));
    this.#forget(region);
    return bytes;
  }

  /**
   * Unmaps whatever lies in an area; gives the bytes that the kernel says it unmapped. Whether an area may cut through a
   * mapping depends on the mode: type1v2 and iommufd refuse (`EINVAL`, `ENOENT`); type1 takes away the whole mapping when
   * the area contains its start, and nothing (0 bytes) when the area starts inside it; type1 on iommufd cuts. What is left
   * of a region that was cut are new regions ({@link regionAt}).
   */
  unmapRange(iova: bigint, length: bigint): bigint {
    this.#requireOpen("unmapRange");
    requireAddress("unmapRange", iova);
    requireAddress("unmapRange", length);
    const bytes = this.backend.unmap(iova, length);
    if (bytes === 0n) return bytes;
    const end = iova + length;
    const touched = this.#regions.touching(iova, end);
    if (bytes === touched.reduce((sum, region) => sum + bytesInside(region, iova, end), 0n)) {
      for (const region of touched) this.#cut(region, iova, end);
    } else {
      // Type 1: as many whole mappings as make up the bytes, from the first that starts in the area.
      let left = bytes;
      for (const region of touched.filter((candidate) => candidate.iova >= iova)) {
        if (left <= 0n) break;
        left -= BigInt(region.length);
        this.#forget(region);
      }
    }
    return bytes;
  }

  /** Unmaps everything; gives the bytes that the kernel says it unmapped. */
  unmapAll(): bigint {
    this.#requireOpen("unmapAll");
    const bytes = this.backend.unmapAll();
    this.#forgetAll();
    return bytes;
  }

  /** The region that holds an IOVA. */
  regionAt(iova: bigint): DmaRegion | undefined {
    return this.#regions.atIova(iova);
  }

  /** The IOVA of an address of this process; undefined when it is not mapped. Of several mappings any. */
  iovaOf(address: bigint): bigint | undefined {
    const region = this.#regions.atAddress(address);
    return region === undefined ? undefined : region.iova + (address - region.address);
  }

  /** Usable IOVAs as the kernel tells them now: sorted, disjoint, ends inclusive. Modes on containers need a device first. */
  iovaRanges(): readonly IovaRange[] {
    this.#requireOpen("iovaRanges");
    return this.backend.iovaRanges();
  }

  /** Bit n set: the IOMMU has pages of 2^n bytes. */
  pageSizes(): bigint {
    this.#requireOpen("pageSizes");
    return this.backend.pageSizes();
  }

  /** Keeps IOVAs free of automatic mappings until released; they may be mapped by naming them. */
  reserveIova(length: number, request: IovaRequest = {}): IovaReservation {
    this.#requireOpen("reserveIova");
    return this.#space.reserve(length, request, (first, last) => {
      const inside = [...this.#regions].find(
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

  /** Unmaps everything, closes the devices opened here (last first), then the address space; idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forgetAll();
    const errors: unknown[] = [];
    for (const device of this.#devices.reverse()) {
      try {
        device.close();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#devices = [];
    this.backend.close();
    if (errors.length > 0) throw errors[0];
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What the back end is told of a wanted IOVA: undefined leaves it to the kernel. */
  #fixed(wanted: bigint | "kernel"): bigint | undefined {
    if (wanted !== "kernel") {
      requireAddress("map", wanted);
      return wanted;
    }
    if (this.backend.choosesIova) return undefined;
    throw argumentError(
      "map",
      "iova",
      wanted,
      `an address, or nothing: in mode ${this.mode} the kernel does not choose`,
    );
  }

  /** Leaves of a region what lies outside [start, end). */
  #cut(region: DmaRegion, start: bigint, end: bigint): void {
    const { iova, length, access, memory, offset } = region;
    this.#forget(region);
    const before = start > iova ? Number(start - iova) : 0;
    if (before > 0) this.#remember(new DmaRegion(this, iova, before, access, memory, offset));
    const after = iova + BigInt(length) > end ? Number(iova + BigInt(length) - end) : 0;
    if (after > 0) this.#remember(new DmaRegion(this, end, after, access, memory, offset + length - after));
  }

  #remember(region: DmaRegion): void {
    this.#space.mapped(region.iova, region.length);
    this.#regions.add(region);
    region.memory.addMapping?.(region);
  }

  #forget(region: DmaRegion): void {
    this.#regions.remove(region);
    this.#space.unmapped(region.iova, region.length);
    region.mapped = false;
    region.memory.removeMapping?.(region);
  }

  #forgetAll(): void {
    for (const region of this.#regions) {
      region.mapped = false;
      region.memory.removeMapping?.(region);
    }
    this.#regions.clear();
    this.#space.allUnmapped();
  }

  #requireOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, `Iommu ${this.mode}`);
  }
}

function bytesInside(region: DmaRegion, start: bigint, end: bigint): bigint {
  const last = region.iova + BigInt(region.length);
  return (last < end ? last : end) - (region.iova > start ? region.iova : start);
}

function requireAddress(operation: string, value: bigint): void {
  if (BigInt.asUintN(64, value) !== value) throw argumentError(operation, "address", value, "0 to 2^64 - 1");
}
