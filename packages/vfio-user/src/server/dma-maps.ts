import { constants } from "node:os";
import { IovaMap } from "../iova-map";
import { MAX_DMA_MAPS_TAKEN, PAGE_SIZES } from "../protocol/limits";
import { DMA_MAP_MMAP, DMA_MAP_READ, DMA_MAP_WRITE } from "../protocol/structs";
import { SharedFiles } from "./shared-file";
import type { FileView } from "./shared-file";

const { EINVAL, EEXIST, ENOSPC, EOVERFLOW } = constants.errno;

const MAX_ADDRESS = 0xffff_ffff_ffff_ffffn;
const PAGE_MASK = BigInt(PAGE_SIZES - 1);
/** Offsets and sizes beyond this are no numbers any more; no machine has as much memory. */
const MAX_FILE_RANGE = 2n ** 52n;

/** One DMA map of the client's. */
export interface DmaMap {
  readonly start: bigint;
  readonly last: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  /** The memory; undefined when it is reached by messages. */
  readonly view: FileView | undefined;
}

/** The client's DMA maps. */
export class DmaMaps {
  readonly #maps = new IovaMap<DmaMap>();
  readonly #files: SharedFiles;

  /** `trusting`: map files that the client could truncate, too. */
  constructor(trusting: boolean) {
    this.#files = new SharedFiles(trusting);
  }

  get size(): number {
    return this.#maps.size;
  }

  find(iova: bigint): DmaMap | undefined {
    return this.#maps.find(iova);
  }

  /** VFIO_USER_DMA_MAP; 0 or a positive errno. `fd` stays the caller's. */
  map(address: bigint, size: bigint, flags: number, offset: bigint, fd: number | undefined): number {
    if ((flags & ~(DMA_MAP_READ | DMA_MAP_WRITE | DMA_MAP_MMAP)) !== 0) return EINVAL;
    if ((flags & (DMA_MAP_READ | DMA_MAP_WRITE)) === 0) return EINVAL;
    if ((flags & DMA_MAP_MMAP) !== 0 && fd === undefined) return EINVAL;
    if (size === 0n || ((address | size) & PAGE_MASK) !== 0n) return EINVAL;
    const last = address + size - 1n;
    if (last > MAX_ADDRESS) return EOVERFLOW;
    if (this.#maps.overlaps(address, last)) return EEXIST;
    if (this.#maps.size >= MAX_DMA_MAPS_TAKEN) return ENOSPC;
    let view: FileView | undefined;
    if (fd !== undefined) {
      if ((offset & PAGE_MASK) !== 0n || offset + size > MAX_FILE_RANGE) return EINVAL;
      const mapped = this.#files.map(fd, Number(offset), Number(size));
      if (typeof mapped === "string") return EINVAL;
      view = mapped;
    }
    this.#maps.add({
      start: address,
      last,
      readable: (flags & DMA_MAP_READ) !== 0,
      writable: (flags & DMA_MAP_WRITE) !== 0,
      view,
    });
    return 0;
  }

  /**
   * VFIO_USER_DMA_UNMAP. As type1v2 does, removes the maps inside the range, none being fine: QEMU unmaps whole blocks of
   * an I/O page table. EINVAL when a map would be cut in two. 0 or a positive errno.
   */
  unmap(address: bigint, size: bigint): number {
    if (size === 0n) return EINVAL;
    const last = address + size - 1n;
    if (last > MAX_ADDRESS) return EOVERFLOW;
    if (this.#maps.cutBy(address, last) !== undefined) return EINVAL;
    for (const { view } of this.#maps.removeInside(address, last)) view?.release();
    return 0;
  }

  clear(): void {
    for (const { view } of this.#maps.clear()) view?.release();
  }
}
