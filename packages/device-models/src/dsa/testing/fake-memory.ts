import type { DmaFault, DmaSpace } from "@vfio-selftests/vfio-user";

export interface FakeMapOptions {
  /** Default true. */
  readonly readable?: boolean;
  readonly writable?: boolean;
  /** False: no views, only messages. Default true. */
  readonly shared?: boolean;
}

interface FakeMap extends Required<FakeMapOptions> {
  readonly iova: bigint;
  readonly bytes: Uint8Array;
}

/** A client's memory for unit tests: byte arrays at I/O virtual addresses. Counts what a server would report. */
export class FakeMemory implements DmaSpace {
  /** Accesses that found nothing, or no permission. */
  readonly faults: DmaFault[] = [];
  /** Called before each access by message; may reset the model, as a client might meanwhile. */
  onMessage: () => "aborted" | undefined = () => undefined;
  #maps: FakeMap[] = [];

  map(iova: bigint, bytes: number | Uint8Array, options: FakeMapOptions = {}): Uint8Array {
    const memory = typeof bytes === "number" ? new Uint8Array(bytes) : bytes;
    this.#maps.push({ iova, bytes: memory, readable: true, writable: true, shared: true, ...options });
    return memory;
  }

  unmapAll(): void {
    this.#maps = [];
  }

  read(iova: bigint, into: Uint8Array): DmaFault | undefined {
    return this.#access("read", iova, into);
  }

  write(iova: bigint, from: Uint8Array): DmaFault | undefined {
    return this.#access("write", iova, from);
  }

  publish(iova: bigint, from: Uint8Array): DmaFault | undefined {
    if (iova % 8n !== 0n || from.length < 8) throw new RangeError(`publish at ${iova}`);
    return this.#access("write", iova + 8n, from.subarray(8)) ?? this.#access("write", iova, from.subarray(0, 8));
  }

  view(iova: bigint, length: number, access: "read" | "write"): Uint8Array | undefined {
    if (length < 1 || iova < 0n || iova >= 1n << 64n) throw new RangeError(`view of ${length} bytes at ${iova}`);
    const map = this.#find(iova);
    return map?.shared === true && permits(map, access) ? bytesOf(map, iova, length) : undefined;
  }

  #access(access: "read" | "write", iova: bigint, data: Uint8Array): DmaFault | undefined {
    for (let done = 0; done < data.length;) {
      const at = iova + BigInt(done);
      const map = this.#find(at);
      if (map === undefined || !permits(map, access)) {
        return this.#fault({ iova: at, access, reason: map === undefined ? "unmapped" : "protection" });
      }
      if (!map.shared && this.onMessage() === "aborted") return { iova: at, access, reason: "aborted" };
      const memory = bytesOf(map, at, data.length - done);
      const part = data.subarray(done, done + memory.length);
      if (access === "read") part.set(memory);
      else memory.set(part);
      done += memory.length;
    }
    return undefined;
  }

  #fault(fault: DmaFault): DmaFault {
    this.faults.push(fault);
    return fault;
  }

  #find(iova: bigint): FakeMap | undefined {
    return this.#maps.find((map) => iova >= map.iova && iova < map.iova + BigInt(map.bytes.length));
  }
}

function bytesOf({ iova, bytes }: FakeMap, at: bigint, length: number): Uint8Array {
  const offset = Number(at - iova);
  return bytes.subarray(offset, offset + length);
}

function permits(map: FakeMap, access: "read" | "write"): boolean {
  return access === "read" ? map.readable : map.writable;
}
