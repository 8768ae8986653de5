import { native } from "@vfio-selftests/native";
import { VfioError } from "@vfio-selftests/core";
import { IoMapping } from "@vfio-selftests/core/backend";
import { argumentError, systemError } from "@vfio-selftests/core/errors";
import { decodeRegionInfo, MAP_SHARED, PROT_READ, PROT_WRITE } from "@vfio-selftests/core/uapi";
import type { RegionArea, RegionInfo } from "@vfio-selftests/core";
import * as structs from "../protocol/structs";
import type { ServerConnection } from "./server-connection";

/** Bytes of region info asked for at first; a longer chain of capabilities costs a second request. */
const REGION_INFO_ROOM = 512;

/** What is kept of a region. */
export interface Region {
  readonly info: RegionInfo;
  /** To map it. */
  readonly fd: number | undefined;
  /** For errors. */
  readonly name: string;
}

/** Of the address, in bytes; default: the kernel's choice. */
export interface MapRegionOptions {
  readonly alignment?: number;
  readonly alignmentOffset?: number;
}

/** The regions of a device behind a server: what they are, and what of them is mapped. */
export class DeviceRegions {
  readonly #address: string;
  readonly #connection: ServerConnection;
  readonly #count: number;
  readonly #regions = new Map<number, Region>();
  readonly #mappings = new Set<IoMapping>();

  constructor(address: string, connection: ServerConnection, count: number) {
    this.#address = address;
    this.#connection = connection;
    this.#count = count;
  }

  /** The region; asked for once. Throws ERR_INVALID_ARGUMENT for an index that the device has not got. */
  get(index: number): Region {
    const known = this.#regions.get(index);
    if (known !== undefined) return known;
    if (!Number.isInteger(index) || index < 0 || index >= this.#count) {
      const allowed = this.#count === 0 ? "none" : `0 to ${this.#count - 1}`;
      throw argumentError(this.#address, "region index", index, allowed);
    }
    const region = { ...this.#read(index), name: `region ${index}` };
    this.#regions.set(index, region);
    return region;
  }

  /** The region, when it has these bytes; else throws ERR_INVALID_ARGUMENT. */
  check(operation: string, index: number, offset: number, length: number): Region {
    const region = this.get(index);
    const { size } = region.info;
    if (!Number.isInteger(offset) || offset < 0 || offset + length > size) {
      throw argumentError(`${operation} of region ${index}`, "offset", offset, `0 to ${size - length}`);
    }
    return region;
  }

  /** Maps one area of a mappable region. */
  map(index: number, area: RegionArea, options: MapRegionOptions): IoMapping {
    const { info: region, fd, name: regionName } = this.get(index);
    const inside = region.mappableAreas.some(
      ({ offset, size }) => area.size > 0 && area.offset >= offset && area.offset + area.size <= offset + size,
    );
    if (!inside || fd === undefined) {
      const areas = fd === undefined ? [] : region.mappableAreas;
      throw argumentError(
        `mapRegion of region ${index}`,
        "area",
        `0x${area.offset.toString(16)} + 0x${area.size.toString(16)}`,
        areas.map(({ offset, size }) => `0x${offset.toString(16)} + 0x${size.toString(16)}`).join(", ") ||
          "none: the region cannot be mapped, use readRegion and writeRegion",
      );
    }
    const io = native.mapIo({
      fd,
      length: area.size,
      prot: (region.readable ? PROT_READ : 0) | (region.writable ? PROT_WRITE : 0),
      flags: MAP_SHARED,
      offset: region.offset + BigInt(area.offset),
      alignment: options.alignment ?? 0,
      alignmentOffset: options.alignmentOffset ?? 0,
    });
    const name = `${this.#address} ${regionName}`;
    if (typeof io === "number") throw systemError(io, "mmap", { subject: `${name}, ${area.size} bytes` });
    const mapping = new IoMapping(io, name, (closed) => this.#mappings.delete(closed));
    this.#mappings.add(mapping);
    return mapping;
  }

  /** Unmaps everything. Throws ERR_STILL_MAPPED when a BAR is mapped for DMA. */
  close(): void {
    for (const mapping of [...this.#mappings]) mapping.close();
    for (const { fd } of this.#regions.values()) if (fd !== undefined) native.close(fd);
    this.#regions.clear();
  }

  #read(index: number, room = REGION_INFO_ROOM): { info: RegionInfo; fd: number | undefined } {
    const { fields, size } = structs.region_info;
    const { request } = this.#connection;
    request.bytes.fill(0, 0, size);
    fields.argsz.set(request, room);
    fields.index.set(request, index);
    const fds: number[] = [];
    const length = this.#connection.ask("DEVICE_GET_REGION_INFO", size, `region ${index}`, [], fds);
    const { reply } = this.#connection;
    const needed = fields.argsz.get(reply);
    const [fd] = fds;
    try {
      if (needed <= room || room > REGION_INFO_ROOM) {
        return { info: decodeRegionInfo(index, reply.bytes.slice(0, length)), fd };
      }
    } catch (error) {
      if (fd !== undefined) native.close(fd);
      throw new VfioError(`VFIO_USER_DEVICE_GET_REGION_INFO: bad capabilities of region ${index} of ${this.#address}`, {
        code: "EPROTO",
        operation: "VFIO_USER_DEVICE_GET_REGION_INFO",
        subject: this.#address,
        cause: error,
      });
    }
    if (fd !== undefined) native.close(fd);
    return this.#read(index, needed);
  }
}
