import type { NativeIo, NativeMemory } from "@vfio-selftests/native";
import { native } from "@vfio-selftests/native";

/** mman.h. */
const MAP_SHARED = 1;
const MAP_NORESERVE = 0x4000;

/**
 * Files are mapped in windows of this size, which is larger than any usual map and small enough for one typed array.
 */
export const WINDOW_SIZE = 1024 ** 3;

/** The widest store of the guarded accessors, in bytes. */
const WIDE_STORE = 64;

/** A part of a file that JavaScript may touch like any memory. No change of the file can raise SIGBUS. */
export class PlainWindow {
  readonly buffer: ArrayBuffer;
  /** Bytes. */
  readonly length: number;
  /** The model's step that used it last. */
  lastUsed = 0;
  readonly #memory: NativeMemory;

  /** Undefined if the file cannot be mapped (so), for want of address space or rights. */
  static map(fd: number, start: number, length: number): PlainWindow | undefined {
    const memory = native.mapMemory({ fd, length, flags: MAP_SHARED, offset: BigInt(start) });
    return typeof memory === "number" ? undefined : new PlainWindow(memory);
  }

  private constructor(memory: NativeMemory) {
    this.#memory = memory;
    this.buffer = memory.buffer;
    this.length = memory.buffer.byteLength;
  }

  unmap(): void {
    this.#memory.unmap();
  }
}

/**
 * A part of a file for writing, through accessors that survive a SIGBUS. hugetlbfs has no write(2). It raises SIGBUS,
 * sealed or not, when a touched page was punched out of the file and cannot be allocated again.
 */
export class GuardedWindow {
  lastUsed = 0;
  readonly #io: NativeIo;

  static map(fd: number, start: number, length: number): GuardedWindow | undefined {
    // Without a reservation: the client may have punched holes, and the server does not promise to fill them.
    const io = native.mapIo({ fd, length, flags: MAP_SHARED | MAP_NORESERVE, offset: BigInt(start) });
    return typeof io === "number" ? undefined : new GuardedWindow(io);
  }

  private constructor(io: NativeIo) {
    this.#io = io;
  }

  get length(): number {
    return this.#io.length;
  }

  /**
   * Stores `from` at `offset`, ascending. Returns how many bytes it could store. An aligned store of 8 bytes is one
   * store.
   */
  write(offset: number, from: Uint8Array): number {
    const io = this.#io;
    if (from.length === 8 && offset % 8 === 0) {
      const value = new DataView(from.buffer, from.byteOffset, 8).getBigUint64(0, true);
      return io.write64(offset, value) === 0 ? 8 : 0;
    }
    for (let done = 0; done < from.length;) {
      const at = offset + done;
      const wide = at % WIDE_STORE === 0 && from.length - done >= WIDE_STORE;
      const result = wide ? io.store64Bytes(at, from, done) : io.write8(at, from[done] as number);
      if (result !== 0) return done;
      done += wide ? WIDE_STORE : 1;
    }
    return from.length;
  }

  unmap(): void {
    this.#io.unmap();
  }
}
