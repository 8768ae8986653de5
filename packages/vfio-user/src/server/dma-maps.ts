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

/** Adjacent maps with equal rights whose memory lies side by side: as good as one map. */
export interface DmaRun {
  readonly start: bigint;
  readonly last: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly bytes: Uint8Array;
}

/** Maps that are joined at most: 2 MiB of 4 KiB pages, which a guest's kernel often has in one piece. */
const MOST_JOINED = 512;

/** The client's DMA maps. */
export class DmaMaps {
  readonly #maps = new IovaMap<DmaMap>();
  /** Runs found since the last unmap. A guest's I/O page table in 4 KiB pages would make every copy one of 4 KiB pieces. */
  readonly #runs = new IovaMap<DmaRun>();
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

  /** The memory around `iova`, in as long a piece as is worth while; undefined where there is none to be mapped. */
  run(iova: bigint): DmaRun | undefined {
    const known = this.#runs.find(iova);
    if (known !== undefined) return known;
    const maps = this.#maps.following(iova, MOST_JOINED, continues);
    const [first] = maps;
    const bytes = first === undefined ? undefined : onlyPiece(first);
    const last = maps.at(-1)?.last;
    if (first === undefined || bytes === undefined || last === undefined) return undefined;
    const length = Number(last - first.start) + 1;
    const run = {
      start: first.start,
      last,
      readable: first.readable,
      writable: first.writable,
      bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, length),
    };
    this.#runs.add(run);
    return run;
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
    const removed = this.#maps.removeInside(address, last);
    if (removed.length > 0) this.#runs.clear();
    for (const { view } of removed) view?.release();
    return 0;
  }

  clear(): void {
    this.#runs.clear();
    for (const { view } of this.#maps.clear()) view?.release();
  }
}

/** The memory of a map that lies in one window of its file. */
function onlyPiece({ view }: DmaMap): Uint8Array | undefined {
  return view?.pieces.length === 1 ? view.pieces[0] : undefined;
}

function continues(map: DmaMap, before: DmaMap): boolean {
  if (map.start !== before.last + 1n || map.readable !== before.readable || map.writable !== before.writable)
    return false;
  const bytes = onlyPiece(map);
  const ahead = onlyPiece(before);
  if (bytes === undefined || ahead === undefined) return false;
  return bytes.buffer === ahead.buffer && bytes.byteOffset === ahead.byteOffset + ahead.length;
}
