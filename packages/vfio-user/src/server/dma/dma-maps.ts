import { constants } from "node:os";
import { IovaMap } from "../../iova-map";
import { MAX_DMA_MAPS_TAKEN, PAGE_SIZES } from "../../protocol/limits";
import { DMA_MAP_FILE_IO, DMA_MAP_MMAP, DMA_MAP_READ, DMA_MAP_WRITE } from "../../protocol/structs";
import type { SharedFile } from "./shared-file";
import { SharedFiles } from "./shared-files";

const { EINVAL, EEXIST, ENOSPC, EOVERFLOW } = constants.errno;

const MAX_ADDRESS = 0xffff_ffff_ffff_ffffn;
const PAGE_MASK = BigInt(PAGE_SIZES - 1);
/** Larger offsets and sizes are no exact numbers any more. No machine has as much memory. */
const MAX_FILE_RANGE = 2n ** 52n;
const MAP_FLAGS = DMA_MAP_READ | DMA_MAP_WRITE | DMA_MAP_MMAP | DMA_MAP_FILE_IO;

/** One DMA map of the client's; or a run of adjacent ones whose bytes lie side by side. */
export interface DmaMap {
  readonly start: bigint;
  readonly last: bigint;
  /** Bytes. */
  readonly size: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Where the bytes are. Undefined: the server reaches them by messages. */
  readonly file: SharedFile | undefined;
  /** Of the first byte in the file. */
  readonly offset: number;
  /** The client wants its file read and written, not mapped. */
  readonly fileIo: boolean;
}

/** The most maps to join: 2 MiB of 4 KiB pages, which a guest's kernel often has in one piece. */
const MOST_JOINED = 512;

/**
 * The most runs to remember. A guest may scatter its pages, and inserting 100,000 runs into a sorted list, one by one,
 * takes half a minute.
 */
const MOST_RUNS = 4096;

/** The client's DMA maps. */
export class DmaMaps {
  readonly #maps = new IovaMap<DmaMap>();
  /**
   * Runs found since the last unmap. Without them, a guest's I/O page table of 4 KiB pages would cut every copy into 4
   * KiB pieces.
   */
  readonly #runs = new IovaMap<DmaMap>();
  /** The results of the last two look-ups that differ: a device works on its descriptors and on the data in turns. */
  #recent: DmaMap | undefined;
  #earlier: DmaMap | undefined;
  readonly #files: SharedFiles;

  /** `trusting`: map even files that the client could truncate. */
  constructor(trusting: boolean) {
    this.#files = new SharedFiles(trusting);
  }

  get size(): number {
    return this.#maps.size;
  }

  find(iova: bigint): DmaMap | undefined {
    return this.#maps.find(iova);
  }

  /** Call it between two steps of the model, when nobody holds a view of the memory. */
  nextStep(): void {
    this.#files.nextStep();
  }

  /** The mapped memory around `iova`, in a piece as long as is worth while; undefined if nothing is mapped there. */
  run(iova: bigint): DmaMap | undefined {
    const recent = this.#recent;
    if (recent !== undefined && iova >= recent.start && iova <= recent.last) return recent;
    const earlier = this.#earlier;
    this.#earlier = recent;
    const isEarlier = earlier !== undefined && iova >= earlier.start && iova <= earlier.last;
    return (this.#recent = isEarlier ? earlier : (this.#runs.find(iova) ?? this.#findRun(iova)));
  }

  #findRun(iova: bigint): DmaMap | undefined {
    const maps = this.#maps.following(iova, MOST_JOINED, continues);
    const [first] = maps;
    // A map that nothing continues is its own run. Finding it takes no longer than finding a remembered one.
    if (first === undefined || maps.length === 1) return first;
    const last = maps.at(-1)?.last ?? first.last;
    const run = { ...first, last, size: Number(last - first.start) + 1 };
    if (this.#runs.size >= MOST_RUNS) this.#runs.clear();
    this.#runs.add(run);
    return run;
  }

  /** VFIO_USER_DMA_MAP. Returns 0 or a positive errno. The caller keeps `fd`. */
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
    // The new map may continue one of them.
    this.#forgetRecent();
    // With both flags set, map the file, as libvfio-user does.
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
   * VFIO_USER_DMA_UNMAP. Like type1v2, it removes the maps inside the range. An empty range is no error, because QEMU
   * unmaps whole blocks of an I/O page table. EINVAL if it would cut a map in two. Returns 0 or a positive errno.
   */
  unmap(address: bigint, size: bigint): number {
    if (size === 0n) return EINVAL;
    const last = address + size - 1n;
    if (last > MAX_ADDRESS) return EOVERFLOW;
    if (this.#maps.cutBy(address, last) !== undefined) return EINVAL;
    const removed = this.#maps.removeInside(address, last);
    if (removed.length > 0) this.#forgetRuns();
    this.#release(removed);
    return 0;
  }

  clear(): void {
    this.#forgetRuns();
    this.#release(this.#maps.clear());
  }

  #forgetRuns(): void {
    this.#forgetRecent();
    this.#runs.clear();
  }

  #forgetRecent(): void {
    this.#recent = undefined;
    this.#earlier = undefined;
  }

  #release(maps: readonly DmaMap[]): void {
    for (const { file } of maps) if (file !== undefined) this.#files.release(file);
  }
}

function continues(map: DmaMap, before: DmaMap): boolean {
  if (map.start !== before.last + 1n || map.file !== before.file || map.fileIo !== before.fileIo) return false;
  if (map.readable !== before.readable || map.writable !== before.writable) return false;
  // A message stays within a map, because clients need not accept a range that spans two.
  return map.file !== undefined && map.offset === before.offset + Number(map.start - before.start);
}
