import { constants } from "node:os";
import { IovaMap } from "../../iova-map";
import { MAX_DMA_MAPS_TAKEN, PAGE_SIZES } from "../../protocol/limits";
import { DMA_MAP_FILE_IO, DMA_MAP_MMAP, DMA_MAP_READ, DMA_MAP_WRITE } from "../../protocol/structs";
import type { SharedFile } from "./shared-file";
import { SharedFiles } from "./shared-files";

const { EINVAL, EEXIST, ENOSPC, EOVERFLOW } = constants.errno;

const MAX_ADDRESS = 0xffff_ffff_ffff_ffffn;
const PAGE_MASK = BigInt(PAGE_SIZES - 1);
/** Offsets and sizes beyond this are no numbers any more; no machine has as much memory. */
const MAX_FILE_RANGE = 2n ** 52n;
const MAP_FLAGS = DMA_MAP_READ | DMA_MAP_WRITE | DMA_MAP_MMAP | DMA_MAP_FILE_IO;

/** One DMA map of the client's, or several adjacent ones whose bytes lie side by side: a run. */
export interface DmaMap {
  readonly start: bigint;
  readonly last: bigint;
  /** Bytes. */
  readonly size: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Where the bytes are; undefined when they are reached by messages. */
  readonly file: SharedFile | undefined;
  /** Of the first byte in the file. */
  readonly offset: number;
  /** The client wants its file read and written, not mapped. */
  readonly fileIo: boolean;
}

/** Maps that are joined at most: 2 MiB of 4 KiB pages, which a guest's kernel often has in one piece. */
const MOST_JOINED = 512;

/**
 * Runs remembered at most. A guest may scatter its pages: putting 100,000 runs into a sorted list, one by one, takes half a
 * minute.
 */
const MOST_RUNS = 4096;

/** The client's DMA maps. */
export class DmaMaps {
  readonly #maps = new IovaMap<DmaMap>();
  /** Runs found since the last unmap. A guest's I/O page table in 4 KiB pages would make every copy one of 4 KiB pieces. */
  readonly #runs = new IovaMap<DmaMap>();
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

  /** Between two steps of the model: nobody holds a view of the memory. */
  nextStep(): void {
    this.#files.nextStep();
  }

  /** What is mapped around `iova`, in as long a piece as is worth while; undefined where nothing is. */
  run(iova: bigint): DmaMap | undefined {
    const known = this.#runs.find(iova);
    if (known !== undefined) return known;
    const maps = this.#maps.following(iova, MOST_JOINED, continues);
    const [first] = maps;
    // A map that nothing continues is its own run, found as fast as one that is remembered.
    if (first === undefined || maps.length === 1) return first;
    const last = maps.at(-1)?.last ?? first.last;
    const run = { ...first, last, size: Number(last - first.start) + 1 };
    if (this.#runs.size >= MOST_RUNS) this.#runs.clear();
    this.#runs.add(run);
    return run;
  }

  /** VFIO_USER_DMA_MAP; 0 or a positive errno. `fd` stays the caller's. */
  map(address: bigint, size: bigint, flags: number, offset: bigint, fd: number | undefined): number {
    if ((flags & ~MAP_FLAGS) !== 0) return EINVAL;
    if ((flags & (DMA_MAP_READ | DMA_MAP_WRITE)) === 0) return EINVAL;
    if ((flags & (DMA_MAP_MMAP | DMA_MAP_FILE_IO)) !== 0 && fd === undefined) return EINVAL;
    if (size === 0n || ((address | size) & PAGE_MASK) !== 0n) return EINVAL;
    const last = address + size - 1n;
    if (last > MAX_ADDRESS) return EOVERFLOW;
    if (this.#maps.overlaps(address, last)) return EEXIST;
    if (this.#maps.size >= MAX_DMA_MAPS_TAKEN) return ENOSPC;
    const rights = { readable: (flags & DMA_MAP_READ) !== 0, writable: (flags & DMA_MAP_WRITE) !== 0 };
    let file: SharedFile | undefined;
    if (fd !== undefined) {
      if ((offset & PAGE_MASK) !== 0n || offset + size > MAX_FILE_RANGE) return EINVAL;
      const opened = this.#files.open(fd, Number(offset + size), rights);
      if (typeof opened === "number") return opened;
      file = opened;
    }
    // As libvfio-user: who sets both flags gets its file mapped.
    const fileIo = (flags & (DMA_MAP_MMAP | DMA_MAP_FILE_IO)) === DMA_MAP_FILE_IO;
    this.#maps.add({
      start: address,
      last,
      size: Number(size),
      ...rights,
      file,
      offset: file === undefined ? 0 : Number(offset),
      fileIo,
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
    const removed = this.#maps.removeInside(address, last);
    if (removed.length > 0) this.#runs.clear();
    this.#release(removed);
    return 0;
  }

  clear(): void {
    this.#runs.clear();
    this.#release(this.#maps.clear());
  }

  #release(maps: readonly DmaMap[]): void {
    for (const { file } of maps) if (file !== undefined) this.#files.release(file);
  }
}

function continues(map: DmaMap, before: DmaMap): boolean {
  if (map.start !== before.last + 1n || map.file !== before.file || map.fileIo !== before.fileIo) return false;
  if (map.readable !== before.readable || map.writable !== before.writable) return false;
  // Messages stay within a map: clients need not find a range that spans two.
  return map.file !== undefined && map.offset === before.offset + Number(map.start - before.start);
}
