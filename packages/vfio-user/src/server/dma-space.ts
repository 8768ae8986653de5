import { constants } from "node:os";
import type { DmaFault, DmaSpace } from "./device-model";
import type { DmaMap, DmaMaps } from "./dma-maps";

const { EFAULT, EPERM, EACCES } = constants.errno;

/** The client, as far as the device's DMA needs it. */
export interface MemoryPeer {
  /** Reads or writes by message. 0; a positive errno of the client's; or `aborted`. Serves the client's requests meanwhile. */
  transfer(access: "read" | "write", iova: bigint, data: Uint8Array): number | "aborted";
  /** Lets the client's IOMMU see an access that its maps do not allow. Does not wait. */
  reportFault(iova: bigint, access: "read" | "write", mapped: boolean): void;
}

/** {@link DmaSpace} over a client's maps: by memory where a map has it, by message elsewhere. */
export class ClientDmaSpace implements DmaSpace {
  readonly #maps: DmaMaps;
  /** Undefined while there is no client. */
  peer: MemoryPeer | undefined;
  /** True while the model's `step` runs: the only time when DMA may be used. */
  allowed = false;

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
        `publish: ${from.length} bytes at 0x${iova.toString(16)}; at least 8 bytes at a multiple of 8 wanted`,
      );
    }
    if (from.length > 8) {
      const fault = this.#transfer("write", iova + 8n, from.subarray(8));
      if (fault !== undefined) return fault;
    }
    const memory = this.view(iova, 8, "write");
    if (memory === undefined) return this.#transfer("write", iova, from.subarray(0, 8));
    // Maps are whole pages, so the memory is aligned as the IOVA is.
    const word = new BigUint64Array(memory.buffer, memory.byteOffset, 1);
    Atomics.store(word, 0, new DataView(from.buffer, from.byteOffset, 8).getBigUint64(0, true));
    return undefined;
  }

  view(iova: bigint, length: number, access: "read" | "write"): Uint8Array | undefined {
    this.#checkAllowed();
    const run = this.#maps.run(iova);
    if (run !== undefined) {
      if (!permits(run, access)) return undefined;
      const at = Number(iova - run.start);
      return run.bytes.subarray(at, at + length);
    }
    const map = this.#maps.find(iova);
    if (map?.view === undefined || !permits(map, access)) return undefined;
    let offset = Number(iova - map.start);
    for (const piece of map.view.pieces) {
      if (offset < piece.length) return piece.subarray(offset, offset + length);
      offset -= piece.length;
    }
    return undefined;
  }

  #transfer(access: "read" | "write", iova: bigint, data: Uint8Array): DmaFault | undefined {
    this.#checkAllowed();
    for (let done = 0; done < data.length;) {
      const at = iova + BigInt(done);
      const memory = this.view(at, data.length - done, access);
      if (memory !== undefined) {
        const part = data.subarray(done, done + memory.length);
        if (access === "read") part.set(memory);
        else memory.set(part);
        done += memory.length;
        continue;
      }
      const map = this.#maps.find(at);
      if (map === undefined || !permits(map, access)) {
        this.peer?.reportFault(at, access, map !== undefined);
        return { iova: at, reason: map === undefined ? "unmapped" : "protection", access };
      }
      const left = map.last - at + 1n;
      const length = left < BigInt(data.length - done) ? Number(left) : data.length - done;
      const result = this.peer?.transfer(access, at, data.subarray(done, done + length)) ?? "aborted";
      if (result !== 0) return { iova: at, reason: reasonOf(result), access };
      done += length;
    }
    return undefined;
  }

  #checkAllowed(): void {
    if (!this.allowed) throw new Error("a device model may use DMA in step() only");
  }
}

function permits(map: Pick<DmaMap, "readable" | "writable">, access: "read" | "write"): boolean {
  return access === "read" ? map.readable : map.writable;
}

/** What a client's answer to DMA_READ or DMA_WRITE says of the access. */
function reasonOf(result: number | "aborted"): DmaFault["reason"] {
  if (result === "aborted") return "aborted";
  if (result === EFAULT) return "unmapped";
  return result === EPERM || result === EACCES ? "protection" : "failed";
}
