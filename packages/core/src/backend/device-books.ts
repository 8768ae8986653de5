import type { MapOptions, NativeIo } from "@vfio-selftests/native";
import type { DeviceInfo, IrqInfo, MapRegionOptions, RegionArea, RegionInfo } from "../contracts/vfio-device";
import { argumentError, closedError, systemError } from "../errors/vfio-error";
import { IoMapping } from "../memory/io-mapping";
import { closeAll } from "../ownership/close-all";
import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../uapi/mman";

/** A region in the device's books: at least what the other end told of it. */
export interface BookedRegion {
  /** What the other end told of it. */
  readonly info: RegionInfo;
}

/** How a device asks the other end. It asks each question once. */
interface DeviceQuestions<Region> {
  readonly region: (index: number) => Region;
  readonly irq: (index: number) => IrqInfo;
}

/**
 * What every implementation of `VfioDevice` knows of its device: its regions and interrupts, the mapped areas, and
 * whether the device is open. It checks indexes, offsets and areas before it asks the other end.
 */
export class DeviceBooks<Region extends BookedRegion = BookedRegion> {
  readonly #address: string;
  readonly #info: Pick<DeviceInfo, "regionCount" | "irqCount">;
  readonly #ask: DeviceQuestions<Region>;
  readonly #regions = new Map<number, Region>();
  readonly #irqs = new Map<number, IrqInfo>();
  readonly #mappings = new Set<IoMapping>();
  #closed = false;

  /** `ask` is called once for each region and each interrupt index. */
  constructor(address: string, info: Pick<DeviceInfo, "regionCount" | "irqCount">, ask: DeviceQuestions<Region>) {
    this.#address = address;
    this.#info = info;
    this.#ask = ask;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The regions that were asked for so far. */
  get regions(): Iterable<Region> {
    return this.#regions.values();
  }

  /** Throws ERR_CLOSED, with the operation's name, once the device is closed. */
  requireOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, this.#address);
  }

  /** The region. The other end is asked once. */
  region(operation: string, index: number): Region {
    if (this.#closed) throw closedError(operation, this.#address);
    const known = this.#regions.get(index);
    if (known !== undefined) return known;
    this.#requireIndex("region", index, this.#info.regionCount);
    const region = this.#ask.region(index);
    this.#regions.set(index, region);
    return region;
  }

  /** The interrupt index. The other end is asked once. */
  irq(operation: string, index: number): IrqInfo {
    if (this.#closed) throw closedError(operation, this.#address);
    const known = this.#irqs.get(index);
    if (known !== undefined) return known;
    this.#requireIndex("interrupt", index, this.#info.irqCount);
    const info = this.#ask.irq(index);
    this.#irqs.set(index, info);
    return info;
  }

  /** The region, if it has these bytes. Otherwise throws ERR_INVALID_ARGUMENT. */
  extent(operation: string, index: number, offset: number, length: number): Region {
    const region = this.region(operation, index);
    const { size } = region.info;
    if (!Number.isInteger(offset) || offset < 0 || offset + length > size) {
      const allowed = length > size ? `none: the region has ${size} bytes, not ${length}` : `0 to ${size - length}`;
      throw argumentError(`${operation} of region ${index}`, "offset", offset, allowed);
    }
    return region;
  }

  /**
   * Maps an area of a region with the region's rights, if the region allows it. `map` makes the mapping from the
   * request and its own descriptor; `-errno` if it cannot.
   */
  map(
    index: number,
    area: RegionArea,
    options: MapRegionOptions,
    map: (region: Region, request: Omit<MapOptions, "fd">) => NativeIo | number,
  ): IoMapping {
    const region = this.region("mapRegion", index);
    const { info } = region;
    requireArea(info, area);
    const io = map(region, {
      length: area.size,
      prot: (info.readable ? PROT_READ : 0) | (info.writable ? PROT_WRITE : 0),
      flags: MAP_SHARED,
      offset: info.offset + BigInt(area.offset),
      alignment: options.alignment ?? 0,
      alignmentOffset: options.alignmentOffset ?? 0,
    });
    const name = `${this.#address} region ${index}`;
    if (typeof io === "number") throw systemError(io, "mmap", { subject: `${name}, ${area.size} bytes` });
    const mapping = new IoMapping(io, name, (closed) => this.#mappings.delete(closed));
    this.#mappings.add(mapping);
    return mapping;
  }

  /**
   * Unmaps every area, then takes all of the steps. Idempotent. Throws ERR_STILL_MAPPED when an area is mapped for DMA,
   * and leaves everything as it was.
   */
  close(...steps: readonly (() => void)[]): void {
    if (this.#closed) return;
    for (const mapping of this.#mappings) mapping.requireNotMapped("close");
    this.#closed = true;
    const mappings = [...this.#mappings];
    closeAll(this.#address, [...mappings.map((mapping) => () => mapping.close()), ...steps]);
  }

  #requireIndex(what: string, index: number, count: number): void {
    if (Number.isInteger(index) && index >= 0 && index < count) return;
    throw argumentError(this.#address, `${what} index`, index, count === 0 ? "none" : `0 to ${count - 1}`);
  }
}

function requireArea({ index, mappableAreas }: RegionInfo, area: RegionArea): void {
  const inside = mappableAreas.some(
    ({ offset, size }) => area.size > 0 && area.offset >= offset && area.offset + area.size <= offset + size,
  );
  if (inside && Number.isInteger(area.offset) && Number.isInteger(area.size)) return;
  const allowed = mappableAreas.map(areaText);
  throw argumentError(
    `mapRegion of region ${index}`,
    "area",
    areaText(area),
    allowed.length === 0 ? "none: the region cannot be mapped, use readRegion and writeRegion" : allowed.join(", "),
  );
}

function areaText({ offset, size }: RegionArea): string {
  return `0x${offset.toString(16)} + 0x${size.toString(16)}`;
}
