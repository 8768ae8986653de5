import type { DmaAccess } from "../contracts/iommu";
import type { MappableMemory } from "../contracts/memory";
import { argumentError, VfioError } from "../errors/vfio-error";
import type { Iommu } from "./iommu";

/** Memory mapped at an I/O virtual address. Made by {@link Iommu.map}; keeps its memory alive while mapped. */
export class DmaRegion implements Disposable {
  /** False once unmapped. Set by {@link Iommu} alone. */
  mapped = true;
  /** Place in the table of regions; the table's alone. */
  slot = 0;
  private view: Uint8Array | undefined = undefined;

  /** Use {@link Iommu.map}. */
  constructor(
    private readonly iommu: Iommu,
    readonly iova: bigint,
    /** Bytes. */
    readonly length: number,
    readonly access: DmaAccess,
    readonly memory: MappableMemory,
    /** First byte of the region in `memory`. */
    readonly offset: number,
  ) {}

  /** Address of the first byte in this process. */
  get address(): bigint {
    return this.offset === 0 ? this.memory.address : this.memory.address + BigInt(this.offset);
  }

  /** The region's bytes; the same view at every call. Throws ERR_NOT_MEMORY for device registers. */
  get bytes(): Uint8Array {
    return (this.view ??= new Uint8Array(this.buffer(), this.offset, this.length));
  }

  /** The region as 32-bit words: a new view at every call, to be kept by who uses it. */
  words(): Uint32Array {
    return new Uint32Array(this.buffer(), this.offset, this.length >>> 2);
  }

  /** IOVA of the region's byte `offset` (0 to its length). */
  iovaOf(offset: number): bigint {
    if (!Number.isInteger(offset) || offset < 0 || offset > this.length) {
      throw argumentError("DmaRegion.iovaOf", "offset", offset, `0 to ${this.length}`);
    }
    return this.iova + BigInt(offset);
  }

  /** Unmaps; gives the bytes that the kernel unmapped, 0 when it was unmapped before. */
  unmap(): bigint {
    return this.mapped ? this.iommu.unmap(this) : 0n;
  }

  [Symbol.dispose](): void {
    this.unmap();
  }

  private buffer(): ArrayBuffer {
    if (this.memory.buffer === undefined) {
      throw new VfioError("a region of device registers has no buffer", {
        code: "ERR_NOT_MEMORY",
        operation: "DmaRegion.bytes",
        remedy: "use the BAR's accessors",
      });
    }
    return this.memory.buffer;
  }
}
