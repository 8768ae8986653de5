import { constants } from "node:os";
import type { DmaAccess, MappableMemory } from "@vfio-selftests/core";
import { IovaMap } from "../iova-map";

const { EINVAL, EEXIST, EOVERFLOW, EFAULT, EPERM } = constants.errno;

/** The reach of an IOMMU with four levels of page tables, which most machines have. */
export const LAST_IOVA = 0xffff_ffff_ffffn;
const MAX_ADDRESS = 0xffff_ffff_ffff_ffffn;
const PAGE_SIZE = 4096n;

/** Memory mapped for DMA in one address space. */
export interface ClientMapping {
  readonly start: bigint;
  readonly last: bigint;
  readonly memory: MappableMemory;
  /** First byte of the memory. */
  readonly offset: number;
  readonly access: DmaAccess;
}

/**
 * The mappings of one address space, as a kernel back end would hold them. It checks with the kernel's errnos
 * (type1v2), and holds the memory for servers that read and write it by message. 0 is success, a positive number an
 * errno.
 */
export class ClientMemory implements Iterable<ClientMapping> {
  readonly #mappings = new IovaMap<ClientMapping>();

  get size(): number {
    return this.#mappings.size;
  }

  [Symbol.iterator](): Iterator<ClientMapping> {
    return this.#mappings[Symbol.iterator]();
  }

  add(mapping: ClientMapping): number {
    const error = checkRange(mapping.start, mapping.last - mapping.start + 1n);
    if (error !== 0) return error;
    if (mapping.last > LAST_IOVA) return EINVAL;
    return this.#mappings.add(mapping) ? 0 : EEXIST;
  }

  /** Removes and returns the mappings that an unmap of the range takes away; or an errno, and removes nothing. */
  remove(start: bigint, size: bigint): ClientMapping[] | number {
    const error = checkRange(start, size);
    if (error !== 0) return error;
    const last = start + size - 1n;
    // vfio_dma_do_unmap never cuts a mapping in two.
    if (this.#mappings.cutBy(start, last) !== undefined) return EINVAL;
    return this.#mappings.removeInside(start, last);
  }

  /** Whether an IOVA lies in a mapping. */
  has(iova: bigint): boolean {
    return this.#mappings.find(iova) !== undefined;
  }

  /** Puts back a mapping whose removal failed. */
  restore(mapping: ClientMapping): void {
    this.#mappings.add(mapping);
  }

  clear(): ClientMapping[] {
    return this.#mappings.clear();
  }

  /** A server's access to memory: `read` fills `data`, `write` stores it. */
  transfer(access: "read" | "write", iova: bigint, data: Uint8Array): number {
    for (let done = 0; done < data.length;) {
      const at = iova + BigInt(done);
      const mapping = this.#mappings.find(at);
      if (mapping === undefined || mapping.memory.closed) return EFAULT;
      if (mapping.access !== "read-write" && mapping.access !== access) return EPERM;
      const { buffer } = mapping.memory;
      if (buffer === undefined) return EFAULT;
      const left = Number(mapping.last - at + 1n);
      const length = Math.min(left, data.length - done);
      const memory = new Uint8Array(buffer, mapping.offset + Number(at - mapping.start), length);
      if (access === "read") data.set(memory, done);
      else memory.set(data.subarray(done, done + length));
      done += length;
    }
    return 0;
  }
}

/** As vfio_dma_do_map and vfio_dma_do_unmap check: whole pages, at least one, not past the end of the 64-bit space. */
export function checkRange(start: bigint, size: bigint): number {
  if (size === 0n || ((start | size) & (PAGE_SIZE - 1n)) !== 0n) return EINVAL;
  return start + size - 1n > MAX_ADDRESS ? EOVERFLOW : 0;
}
