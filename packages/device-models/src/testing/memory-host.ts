import type { DeviceHost, DmaFault, DmaSpace } from "@vfio-selftests/vfio-user";

interface Mapping {
  readonly iova: bigint;
  readonly bytes: Uint8Array;
  readonly access: "read" | "write" | "read-write";
  /** Shared by descriptor, so that `view` shows it. */
  readonly shared: boolean;
}

/**
 * A model's host in plain memory, for tests of models without a server. It maps memory at chosen addresses and records
 * interrupts and faults.
 */
export class MemoryHost implements DeviceHost {
  readonly dma: DmaSpace;
  readonly faults: DmaFault[] = [];
  /** `index:vector` of each interrupt raised. */
  readonly interrupts: string[] = [];
  /** `index:vector` of each vector that the client has connected. */
  readonly connected = new Set<string>();
  /** Called within `read`, `write` and `publish`, as a client that acts while the device accesses its memory. */
  duringAccess: (() => void) | undefined;
  /** Makes accesses fail with this reason. */
  failure: DmaFault["reason"] | undefined;
  readonly #mappings: Mapping[] = [];

  constructor() {
    this.dma = {
      read: (iova, into) => this.#transfer(iova, into.length, "read", (piece, at) => into.set(piece, at)),
      write: (iova, from) =>
        this.#transfer(iova, from.length, "write", (piece, at) => piece.set(from.subarray(at, at + piece.length))),
      publish: (iova, from) =>
        this.#transfer(iova, from.length, "write", (piece, at) => piece.set(from.subarray(at, at + piece.length))),
      view: (iova, length, access) => this.#view(iova, length, access),
    };
  }

  /** Maps `length` zero bytes at `iova` and returns them. */
  map(iova: bigint, length: number, options: { access?: Mapping["access"]; shared?: boolean } = {}): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#mappings.push({ iova, bytes, access: options.access ?? "read-write", shared: options.shared ?? true });
    return bytes;
  }

  raiseInterrupt(index: number, vector: number): "raised" | "unconnected" {
    if (!this.interruptConnected(index, vector)) return "unconnected";
    this.interrupts.push(`${index}:${vector}`);
    return "raised";
  }

  interruptConnected(index: number, vector: number): boolean {
    return this.connected.has(`${index}:${vector}`);
  }

  #transfer(
    iova: bigint,
    length: number,
    access: "read" | "write",
    move: (piece: Uint8Array, at: number) => void,
  ): DmaFault | undefined {
    this.duringAccess?.();
    if (this.failure !== undefined) return { iova, reason: this.failure, access };
    let at = 0;
    while (at < length) {
      const address = iova + BigInt(at);
      const mapping = this.#find(address);
      if (mapping === undefined || !mapping.access.includes(access)) {
        const fault = { iova: address, reason: mapping === undefined ? "unmapped" : "protection", access } as const;
        this.faults.push(fault);
        return fault;
      }
      const start = Number(address - mapping.iova);
      const piece = mapping.bytes.subarray(start, start + length - at);
      move(piece, at);
      at += piece.length;
    }
    return undefined;
  }

  #view(iova: bigint, length: number, access: "read" | "write"): Uint8Array | undefined {
    const mapping = this.#find(iova);
    if (mapping === undefined || !mapping.shared || !mapping.access.includes(access)) return undefined;
    const start = Number(iova - mapping.iova);
    return mapping.bytes.subarray(start, start + length);
  }

  #find(iova: bigint): Mapping | undefined {
    return this.#mappings.find((m) => iova >= m.iova && iova < m.iova + BigInt(m.bytes.length));
  }
}
