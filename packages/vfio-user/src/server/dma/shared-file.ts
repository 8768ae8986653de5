import { native } from "@vfio-selftests/native";
import { GuardedWindow, PlainWindow, WINDOW_SIZE } from "./file-window";

/**
 * How the server reaches the bytes of a file.
 *
 * - `memory`: mapped, and touched directly. Only for files that cannot be truncated, or from a trusted client.
 * - `file`: pread(2) and pwrite(2), which give an error where a mapping would raise SIGBUS.
 * - `huge`: pread(2), and guarded stores to a mapping, because hugetlbfs has no pwrite(2).
 */
export type FileAccess = "memory" | "file" | "huge";

/** How many windows all files together may map. The limit is the address space and its page tables. */
export interface WindowBudget {
  /** Whether one more window may be mapped now. */
  take(): boolean;
  give(): void;
  /** The model's present step. */
  readonly step: number;
}

/** A file that a client shares for DMA. It owns its descriptor, and maps windows at their first use. */
export class SharedFile {
  /** How many DMA maps refer to it. */
  users = 0;
  readonly key: string;
  readonly access: FileAccess;
  readonly #fd: number;
  readonly #budget: WindowBudget;
  readonly #plain = new Map<number, PlainWindow>();
  readonly #guarded = new Map<number, GuardedWindow>();
  #size: number;

  /** Owns `fd` from now on, a file of `size` bytes. */
  constructor(key: string, fd: number, access: FileAccess, size: number, budget: WindowBudget) {
    this.key = key;
    this.access = access;
    this.#fd = fd;
    this.#size = size;
    this.#budget = budget;
  }

  /** The file has become longer. The next use maps its last window anew. */
  growTo(size: number): void {
    if (size <= this.#size) return;
    const last = Math.floor(this.#size / WINDOW_SIZE);
    this.#size = size;
    for (const windows of [this.#plain, this.#guarded]) this.#unmap(windows, last);
  }

  /** The file's memory from `offset` on, at most `length` bytes; undefined if it is not available as memory (now). */
  view(offset: number, length: number): Uint8Array | undefined {
    if (this.access !== "memory") return undefined;
    const index = Math.floor(offset / WINDOW_SIZE);
    const at = offset - index * WINDOW_SIZE;
    const window = this.#plain.get(index) ?? this.#map(this.#plain, index, (...where) => PlainWindow.map(...where));
    if (window === undefined || at >= window.length) return undefined;
    window.lastUsed = this.#budget.step;
    return new Uint8Array(window.buffer, at, Math.min(length, window.length - at));
  }

  /** Reads from `offset` on. Returns how many bytes it could read. */
  read(offset: number, into: Uint8Array): number {
    return move(into.length, (done) => native.pread(this.#fd, into.subarray(done), offset + done));
  }

  /** Writes from `offset` on. Returns how many bytes it could write. */
  write(offset: number, from: Uint8Array): number {
    return move(from.length, (done) =>
      this.access === "huge"
        ? this.#writeGuarded(offset + done, from.subarray(done))
        : native.pwrite(this.#fd, from.subarray(done), offset + done),
    );
  }

  /** Unmaps the windows that no step since `step` has used. */
  forgetUnusedSince(step: number): void {
    for (const windows of [this.#plain, this.#guarded]) {
      for (const [index, { lastUsed }] of windows) if (lastUsed < step) this.#unmap(windows, index);
    }
  }

  close(): void {
    this.forgetUnusedSince(Infinity);
    native.close(this.#fd);
  }

  #writeGuarded(offset: number, from: Uint8Array): number {
    const index = Math.floor(offset / WINDOW_SIZE);
    const at = offset - index * WINDOW_SIZE;
    const window =
      this.#guarded.get(index) ?? this.#map(this.#guarded, index, (...where) => GuardedWindow.map(...where));
    if (window === undefined) return 0;
    window.lastUsed = this.#budget.step;
    return window.write(at, from.subarray(0, Math.max(0, window.length - at)));
  }

  #map<Window>(
    windows: Map<number, Window>,
    index: number,
    map: (fd: number, start: number, length: number) => Window | undefined,
  ): Window | undefined {
    if (!this.#budget.take()) return undefined;
    const start = index * WINDOW_SIZE;
    const window = map(this.#fd, start, Math.min(WINDOW_SIZE, this.#size - start));
    if (window === undefined) this.#budget.give();
    else windows.set(index, window);
    return window;
  }

  #unmap(windows: Map<number, { unmap(): void }>, index: number): void {
    const window = windows.get(index);
    if (window === undefined) return;
    windows.delete(index);
    window.unmap();
    this.#budget.give();
  }
}

/** Repeats a transfer that may be short until all `length` bytes are done, or it fails. Returns the bytes done. */
function move(length: number, transfer: (done: number) => number): number {
  for (let done = 0; done < length;) {
    const result = transfer(done);
    if (result <= 0) return done;
    done += result;
  }
  return length;
}
