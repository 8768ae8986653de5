import type { MappedRegisters } from "../../contracts/mapped-registers";
import type { RegisterAccess } from "../../contracts/register-access";
import type { RegionArea, RegionInfo, VfioDevice } from "../../contracts/vfio-device";
import { closedError, VfioError } from "../../errors/vfio-error";
import { hugePageAlignment } from "../../memory/huge-page-alignment";
import { closeAll } from "../../ownership/close-all";
import { AreaAccess } from "./area-access";
import type { BarType } from "./bar-types";
import { RegionAccess } from "./region-access";

/**
 * The registers behind one base address register. The first access maps them, where the device allows it: each mappable
 * area by itself. The rest goes through the device's file. So opening a device costs nothing for BARs that nobody uses.
 */
export class Bar implements BarType, RegisterAccess {
  /** Its number, 0 to 5. */
  readonly index: number;
  readonly kind: "memory" | "io" | "none";
  readonly is64Bit: boolean;
  readonly prefetchable: boolean;
  /** What VFIO tells of its region. */
  readonly region: RegionInfo;
  readonly #device: VfioDevice;
  #access: RegisterAccess | undefined;
  #mappings: readonly MappedRegisters[] = [];
  #closed = false;

  /** Maps nothing yet. */
  constructor(device: VfioDevice, index: number, type: BarType) {
    this.#device = device;
    this.index = index;
    this.kind = type.kind;
    this.is64Bit = type.is64Bit;
    this.prefetchable = type.prefetchable;
    this.region = device.regionInfo(index);
  }

  /** Bytes; 0 if not implemented. */
  get size(): number {
    return this.region.size;
  }

  /** Whether at least a part can be mapped. */
  get mappable(): boolean {
    return this.region.mappableAreas.length > 0;
  }

  /**
   * The mapping of the whole BAR, for mapping it for DMA (peer-to-peer). Maps the BAR if necessary. Undefined if the
   * BAR cannot be mapped in one piece. A BAR smaller than a page is mapped with the rest of the page.
   */
  get mapping(): MappedRegisters | undefined {
    const [area] = this.region.mappableAreas;
    if (area === undefined || area.offset !== 0 || area.size < this.size) return undefined;
    this.#opened();
    return this.#mappings[0];
  }

  /** All mappings, in the order of `region.mappableAreas`. Maps the BAR if necessary. */
  get mappings(): readonly MappedRegisters[] {
    if (this.mappable) this.#opened();
    return this.#mappings;
  }

  read8(offset: number): number {
    return (this.#access ?? this.#opened()).read8(offset);
  }

  read16(offset: number): number {
    return (this.#access ?? this.#opened()).read16(offset);
  }

  read32(offset: number): number {
    return (this.#access ?? this.#opened()).read32(offset);
  }

  read64(offset: number): bigint {
    return (this.#access ?? this.#opened()).read64(offset);
  }

  write8(offset: number, value: number): void {
    (this.#access ?? this.#opened()).write8(offset, value);
  }

  write16(offset: number, value: number): void {
    (this.#access ?? this.#opened()).write16(offset, value);
  }

  write32(offset: number, value: number): void {
    (this.#access ?? this.#opened()).write32(offset, value);
  }

  write64(offset: number, value: bigint): void {
    (this.#access ?? this.#opened()).write64(offset, value);
  }

  /** Stores 64 bytes of `source` at `offset`, a multiple of 64; see `RegisterAccess.store64Bytes`. */
  store64Bytes(offset: number, source: Uint8Array, sourceOffset = 0): void {
    (this.#access ?? this.#opened()).store64Bytes(offset, source, sourceOffset);
  }

  /** Throws ERR_STILL_MAPPED, with the IOVA, while the BAR is mapped for DMA. */
  requireNotMapped(operation: string): void {
    for (const mapping of this.#mappings) mapping.requireNotMapped(operation);
  }

  /** Unmaps. Idempotent. Throws ERR_STILL_MAPPED, and does nothing, while the BAR is mapped for DMA. */
  close(): void {
    if (this.#closed) return;
    this.requireNotMapped("Bar.close");
    const mappings = this.#mappings;
    this.#closed = true;
    this.#access = undefined;
    this.#mappings = [];
    closeAll(
      this.#name,
      mappings.map((mapping) => () => mapping.close()),
    );
  }

  get #name(): string {
    return `${this.#device.address} BAR ${this.index}`;
  }

  /** Called at the first access: maps what can be mapped. */
  #opened(): RegisterAccess {
    if (this.#closed) throw closedError("Bar access", this.#name);
    if (this.#access !== undefined) return this.#access;
    if (this.size === 0) {
      throw new VfioError(`${this.#name} is not implemented by the device`, {
        code: "ERR_NOT_SUPPORTED",
        operation: "Bar access",
        subject: this.#name,
        remedy: this.is64Bit ? "use the BAR below it" : "use a BAR whose size is not 0",
      });
    }
    const { mappableAreas } = this.region;
    const alignment = hugePageAlignment(this.size);
    const areas: (RegionArea & { access: MappedRegisters })[] = [];
    try {
      for (const area of mappableAreas) {
        const placement = alignment === 0 ? {} : { alignment, alignmentOffset: area.offset % alignment };
        areas.push({ ...area, access: this.#device.mapRegion(this.index, area, placement) });
      }
    } catch (error) {
      for (const { access } of areas) access.close();
      throw error;
    }
    this.#mappings = areas.map(({ access }) => access);
    const [whole] = this.#mappings;
    if (whole?.length === this.size) return (this.#access = whole);
    const elsewhere = new RegionAccess(this.#device, this.region, this.#name);
    return (this.#access = areas.length > 0 ? new AreaAccess(areas, elsewhere) : elsewhere);
  }
}
