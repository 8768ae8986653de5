import type { RegisterAccess } from "../../contracts/register-access";
import type { RegionArea } from "../../contracts/vfio-device";

/** A mapped part of a region. */
export interface MappedArea extends RegionArea {
  readonly access: RegisterAccess;
}

/**
 * Registers of a region whose mappings do not cover it exactly. Either only parts may be mapped (the sparse-mmap
 * capability), or the mapping's page is longer than the region (a BAR smaller than a page). Accesses inside an area go
 * there. All others go `elsewhere`, which also refuses offsets outside the region.
 */
export class AreaAccess implements RegisterAccess {
  readonly #areas: readonly MappedArea[];
  readonly #elsewhere: RegisterAccess;

  constructor(areas: readonly MappedArea[], elsewhere: RegisterAccess) {
    this.#areas = areas;
    this.#elsewhere = elsewhere;
  }

  read8(offset: number): number {
    const area = this.#find(offset, 1);
    return area === undefined ? this.#elsewhere.read8(offset) : area.access.read8(offset - area.offset);
  }

  read16(offset: number): number {
    const area = this.#find(offset, 2);
    return area === undefined ? this.#elsewhere.read16(offset) : area.access.read16(offset - area.offset);
  }

  read32(offset: number): number {
    const area = this.#find(offset, 4);
    return area === undefined ? this.#elsewhere.read32(offset) : area.access.read32(offset - area.offset);
  }

  read64(offset: number): bigint {
    const area = this.#find(offset, 8);
    return area === undefined ? this.#elsewhere.read64(offset) : area.access.read64(offset - area.offset);
  }

  write8(offset: number, value: number): void {
    const area = this.#find(offset, 1);
    if (area === undefined) this.#elsewhere.write8(offset, value);
    else area.access.write8(offset - area.offset, value);
  }

  write16(offset: number, value: number): void {
    const area = this.#find(offset, 2);
    if (area === undefined) this.#elsewhere.write16(offset, value);
    else area.access.write16(offset - area.offset, value);
  }

  write32(offset: number, value: number): void {
    const area = this.#find(offset, 4);
    if (area === undefined) this.#elsewhere.write32(offset, value);
    else area.access.write32(offset - area.offset, value);
  }

  write64(offset: number, value: bigint): void {
    const area = this.#find(offset, 8);
    if (area === undefined) this.#elsewhere.write64(offset, value);
    else area.access.write64(offset - area.offset, value);
  }

  store64Bytes(offset: number, source: Uint8Array, sourceOffset?: number): void {
    const area = this.#find(offset, 64);
    if (area === undefined) this.#elsewhere.store64Bytes(offset, source, sourceOffset);
    else area.access.store64Bytes(offset - area.offset, source, sourceOffset);
  }

  /** The area that holds all of the access. A misaligned offset finds none, so `elsewhere` refuses it. */
  #find(offset: number, width: number): MappedArea | undefined {
    if (!Number.isInteger(offset) || offset % width !== 0) return undefined;
    for (const area of this.#areas) {
      if (offset >= area.offset && offset + width <= area.offset + area.size) return area;
    }
    return undefined;
  }
}
