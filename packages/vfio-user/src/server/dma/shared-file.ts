import { native } from "@vfio-selftests/native";
import type { NativeMemory } from "@vfio-selftests/native";
import { fstatSync } from "node:fs";

/** mman.h, fcntl.h. */
const MAP_SHARED = 1;
const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;

/** Files are mapped in windows of this many bytes: larger than any usual map, and small enough for one typed array. */
const WINDOW_SIZE = 1024 ** 3;

/** One window of a file, mapped once however many DMA maps use it. */
class Window {
  users = 0;
  readonly bytes: Uint8Array;

  constructor(
    readonly key: string,
    readonly memory: NativeMemory,
  ) {
    this.bytes = new Uint8Array(memory.buffer);
  }
}

/** A range of a client's file, as memory of this process. */
export interface FileView {
  /** In order; every piece is contiguous memory, and together they are the range. */
  readonly pieces: readonly Uint8Array[];
  release(): void;
}

/**
 * The files that clients share for DMA. QEMU sends one descriptor of its guest's memory with every page of a guest's I/O
 * page table, so a file, known by device and inode, is mapped once and its descriptors are not kept.
 *
 * A file that can be truncated would end this process by SIGBUS when the client does so. Therefore only files sealed
 * against it (F_SEAL_SHRINK: QEMU's memory-backend-memfd, our own DmaMemory) are mapped, unless `trusting`; memory of other files
 * is reached by messages.
 */
export class SharedFiles {
  readonly #windows = new Map<string, Window>();

  constructor(private readonly trusting: boolean) {}

  /** Windows mapped at present. */
  get mapped(): number {
    return this.#windows.size;
  }

  /**
   * Maps `size` bytes of `fd` (not kept) from `offset`, both multiples of the page size. Undefined when it is not safe or
   * not possible to map it, a string when the file does not have the range at all.
   */
  map(fd: number, offset: number, size: number): FileView | string | undefined {
    let file;
    try {
      file = fstatSync(fd);
    } catch {
      return "the descriptor is no file";
    }
    if (!file.isFile()) return "the descriptor is no regular file";
    if (offset + size > file.size) return `bytes ${offset} to ${offset + size} of a file of ${file.size}`;
    if (!this.trusting) {
      const seals = native.fcntl(fd, F_GET_SEALS);
      if (seals < 0 || (seals & F_SEAL_SHRINK) === 0) return undefined;
    }

    const windows: Window[] = [];
    const pieces: Uint8Array[] = [];
    const release = (): void => {
      for (const window of windows.splice(0)) this.#release(window);
    };
    for (let at = offset; at < offset + size;) {
      const start = Math.floor(at / WINDOW_SIZE) * WINDOW_SIZE;
      const window = this.#acquire(fd, `${file.dev}:${file.ino}`, start, Math.min(WINDOW_SIZE, file.size - start));
      if (window === undefined) {
        release();
        return undefined;
      }
      windows.push(window);
      const end = Math.min(offset + size, start + window.bytes.length);
      pieces.push(window.bytes.subarray(at - start, end - start));
      at = end;
    }
    return { pieces, release };
  }

  #acquire(fd: number, file: string, start: number, length: number): Window | undefined {
    // The length is part of the key: a file that has grown since gets a second mapping.
    const key = `${file}:${start}:${length}`;
    let window = this.#windows.get(key);
    if (window === undefined) {
      const memory = native.mapMemory({ fd, length, flags: MAP_SHARED, offset: BigInt(start) });
      if (typeof memory === "number") return undefined;
      window = new Window(key, memory);
      this.#windows.set(key, window);
    }
    window.users += 1;
    return window;
  }

  #release(window: Window): void {
    window.users -= 1;
    if (window.users > 0) return;
    this.#windows.delete(window.key);
    window.memory.unmap();
  }
}
