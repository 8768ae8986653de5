import { constants } from "node:os";
import type { DmaFault, DmaSpace } from "../device-model";
import type { DirtyLog } from "../migration/dirty-log";
import type { DmaMap, DmaMaps } from "./dma-maps";
import type { SharedFile } from "./shared-file";

const { EFAULT, EPERM, EACCES } = constants.errno;

/** The client, from the point of view of the device's DMA. */
export interface MemoryPeer {
  /**
   * Reads or writes by message. Returns 0, a positive errno of the client's, or `aborted`. Serves the client's requests
   * meanwhile.
   */
  transfer(access: "read" | "write", iova: bigint, data: Uint8Array): number | "aborted";
  /** Shows the client's IOMMU an access that its maps do not allow. Does not wait. */
  reportFault(iova: bigint, access: "read" | "write", mapped: boolean): void;
}

/** {@link DmaSpace} over a client's maps: through a map's file where it has one, by message elsewhere. */
export class ClientDmaSpace implements DmaSpace {
  readonly #maps: DmaMaps;
  /** Undefined without a client. */
  peer: MemoryPeer | undefined;
  /** True while the model's `step` runs, the only time when it may use DMA. */
  allowed = false;
  /** Hears of every page that the device writes. Undefined: nobody asked for it. */
  log: DirtyLog | undefined;

  constructor(maps: DmaMaps) {
    this.#maps = maps;
  }

  read(iova: bigint, into: Uint8Array): DmaFault | undefined {
    return this.#transfer("read", iova, into);
  }

  write(iova: bigint, from: Uint8Array): DmaFault | undefined {
    return this.#transfer("write", iova, from);
  }

  publish(iova: bigint, from: Uint8Array): DmaFault | undefined {
    if (iova % 8n !== 0n || from.length < 8) {
      throw new RangeError(
        `publish: ${from.length} bytes at 0x${iova.toString(16)}; it needs at least 8 bytes at a multiple of 8`,
      );
    }
    if (from.length > 8) {
      const fault = this.#transfer("write", iova + 8n, from.subarray(8));
      if (fault !== undefined) return fault;
    }
    const memory = this.view(iova, 8, "write");
    if (memory === undefined) return this.#transfer("write", iova, from.subarray(0, 8));
    // Maps are whole pages, so the memory is aligned like the IOVA.
    const word = new BigUint64Array(memory.buffer, memory.byteOffset, 1);
    Atomics.store(word, 0, new DataView(from.buffer, from.byteOffset, 8).getBigUint64(0, true));
    return undefined;
  }

  view(iova: bigint, length: number, access: "read" | "write"): Uint8Array | undefined {
    this.#checkAllowed();
    const run = this.#maps.run(iova);
    const memory = run === undefined || !permits(run, access) ? undefined : viewOf(run, iova, length);
    if (access === "write" && memory !== undefined) this.log?.written(iova, memory.length);
    return memory;
  }

  #transfer(access: "read" | "write", iova: bigint, data: Uint8Array): DmaFault | undefined {
    this.#checkAllowed();
    for (let done = 0; done < data.length;) {
      const at = done === 0 ? iova : iova + BigInt(done);
      const run = this.#maps.run(at);
      if (run === undefined || !permits(run, access)) {
        this.peer?.reportFault(at, access, run !== undefined);
        return { iova: at, reason: run === undefined ? "unmapped" : "protection", access };
      }
      const length = Math.min(data.length - done, run.size - Number(at - run.start));
      const part = length === data.length ? data : data.subarray(done, done + length);
      const { file } = run;
      // Also when it fails: the client may have stored a part of it.
      if (access === "write") this.log?.written(at, length);
      const moved = file === undefined ? this.#byMessage(access, at, part) : throughFile(access, file, run, at, part);
      if (typeof moved !== "number") return { iova: at, reason: moved.reason, access };
      if (moved === 0) return { iova: at, reason: "failed", access };
      done += moved;
    }
    return undefined;
  }

  /** Returns the bytes moved, or why none were. */
  #byMessage(access: "read" | "write", iova: bigint, data: Uint8Array): number | Pick<DmaFault, "reason"> {
    const result = this.peer?.transfer(access, iova, data) ?? "aborted";
    return result === 0 ? data.length : { reason: reasonOf(result) };
  }

  #checkAllowed(): void {
    if (!this.allowed) throw new Error("a device model may use DMA in step() only");
  }
}

/**
 * The memory at `iova`, which lies in `run`. It is shorter than `length` where the run, or a window of its file, ends.
 */
function viewOf(run: DmaMap, iova: bigint, length: number): Uint8Array | undefined {
  if (run.file === undefined || run.fileIo) return undefined;
  const at = Number(iova - run.start);
  return run.file.view(run.offset + at, Math.min(length, run.size - at));
}

/** Moves `data` through memory where the file has a mapping, else by system calls. Returns the bytes moved. */
function throughFile(access: "read" | "write", file: SharedFile, run: DmaMap, iova: bigint, data: Uint8Array): number {
  const memory = viewOf(run, iova, data.length);
  if (memory === undefined) {
    const offset = run.offset + Number(iova - run.start);
    return access === "read" ? file.read(offset, data) : file.write(offset, data);
  }
  if (access === "read") data.set(memory);
  else memory.set(memory.length === data.length ? data : data.subarray(0, memory.length));
  return memory.length;
}

function permits(map: Pick<DmaMap, "readable" | "writable">, access: "read" | "write"): boolean {
  return access === "read" ? map.readable : map.writable;
}

/** What a client's answer to DMA_READ or DMA_WRITE means for the access. */
function reasonOf(result: number | "aborted"): DmaFault["reason"] {
  if (result === "aborted") return "aborted";
  if (result === EFAULT) return "unmapped";
  return result === EPERM || result === EACCES ? "protection" : "failed";
}
