import type { DmaAccess, IommuBackend, IovaRange } from "../contracts/iommu";
import type { MappableMemory } from "../contracts/memory";
import type { VfioDevice } from "../contracts/vfio-device";
import { Errno } from "../errors/errno";
import { closedError, systemError } from "../errors/vfio-error";

/** One mapping of a {@link FakeIommuBackend}. */
export interface FakeMapping {
  /** I/O virtual address of the first byte. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number;
  /** The mapped memory. */
  readonly memory: MappableMemory;
  /** First byte of the mapping in `memory`. */
  readonly offset: number;
  /** What the device may do with it. */
  readonly access: DmaAccess;
}

/** An I/O address space in memory, for tests. It refuses overlaps, and translates as a device would see it. */
export class FakeIommuBackend implements IommuBackend {
  readonly mode = "fake";
  readonly choosesIova = false;
  /** The present mappings. */
  readonly mappings: FakeMapping[] = [];
  readonly #open: (address: string) => VfioDevice;
  #closed = false;

  /** `open` opens the device at an address. */
  constructor(open: (address: string) => VfioDevice) {
    this.#open = open;
  }

  openDevice(address: string): VfioDevice {
    this.#checkOpen("openDevice");
    return this.#open(address);
  }

  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    this.#checkOpen("map");
    if (iova === undefined) throw systemError(-Errno.EINVAL, "map");
    checkRange("map", iova, BigInt(length));
    const end = iova + BigInt(length);
    if (this.mappings.some((other) => iova < other.iova + BigInt(other.length) && other.iova < end)) {
      throw systemError(-Errno.EEXIST, "map");
    }
    this.mappings.push({ iova, length, memory, offset, access });
    return iova;
  }

  /** Like type 1 v2, it takes every mapping inside the area, and refuses to cut one. */
  unmap(iova: bigint, length: bigint): bigint {
    this.#checkOpen("unmap");
    checkRange("unmap", iova, length);
    const end = iova + length;
    const touched = this.mappings.filter((one) => one.iova < end && iova < one.iova + BigInt(one.length));
    if (touched.some((one) => one.iova < iova || one.iova + BigInt(one.length) > end))
      throw systemError(-Errno.EINVAL, "unmap");
    for (const one of touched) this.mappings.splice(this.mappings.indexOf(one), 1);
    return touched.reduce((sum, one) => sum + BigInt(one.length), 0n);
  }

  unmapAll(): bigint {
    this.#checkOpen("unmapAll");
    const bytes = this.mappings.reduce((sum, { length }) => sum + BigInt(length), 0n);
    this.mappings.length = 0;
    return bytes;
  }

  iovaRanges(): readonly IovaRange[] {
    this.#checkOpen("iovaRanges");
    return [{ start: 0n, last: 0xffff_ffff_ffffn }];
  }

  pageSizes(): bigint {
    this.#checkOpen("pageSizes");
    return 0x1000n;
  }

  /** The bytes at an IOVA, as the device sees them; undefined if they are not mapped in one piece. */
  bytesAt(iova: bigint, length: number): Uint8Array | undefined {
    for (const mapping of this.mappings) {
      const distance = Number(iova - mapping.iova);
      if (distance < 0 || distance + length > mapping.length) continue;
      const { buffer } = mapping.memory;
      return buffer === undefined ? undefined : new Uint8Array(buffer, mapping.offset + distance, length);
    }
    return undefined;
  }

  close(): void {
    this.#closed = true;
    this.mappings.length = 0;
  }

  #checkOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, "the fake address space");
  }
}

/** As vfio_dma_do_map checks: whole pages, at least one, not past the end of the 64-bit space. */
function checkRange(operation: string, iova: bigint, length: bigint): void {
  if (length === 0n || ((iova | length) & 0xfffn) !== 0n) throw systemError(-Errno.EINVAL, operation);
  if (iova + length > 1n << 64n) throw systemError(-Errno.EOVERFLOW, operation);
}
