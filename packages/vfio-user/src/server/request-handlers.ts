import { native } from "@vfio-selftests/native";
import {
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_info_cap_header,
  vfio_region_info_cap_sparse_mmap,
  vfio_region_sparse_mmap_area,
} from "@vfio-selftests/core";
import type { StructView } from "@vfio-selftests/core";
import { constants } from "node:os";
import { commandOf, Commands } from "../protocol/commands";
import type { CommandName } from "../protocol/commands";
import * as structs from "../protocol/structs";
import { MAX_DATA_TRANSFER } from "../protocol/limits";
import type { ModelRegion } from "./device-model";
import { readRegion, writeRegion } from "./region-access";
import type { ServedDevice } from "./served-device";

const { EINVAL, EIO, ENOTTY, EOPNOTSUPP } = constants.errno;

/** A request whose shape has been checked, and the place for its reply. */
export interface Exchange {
  readonly device: ServedDevice;
  /** Fields and tail of the request. */
  readonly request: StructView;
  readonly requestData: DataView;
  /** Bytes of the request's body. */
  readonly length: number;
  /** Descriptors that came with it; a handler removes those it keeps. */
  readonly fds: number[];
  /** Fields and tail of the reply; not zeroed. */
  readonly reply: StructView;
  readonly replyData: DataView;
  /** Descriptors to send with the reply; they stay the model's. */
  readonly replyFds: number[];
}

/** Serves one command: gives the bytes of the reply's body, or `-errno`. */
export type Handler = (exchange: Exchange) => number;

const { region_access, irq_set, write_one } = structs;

function dmaMap({ device, request, fds }: Exchange): number {
  const { address, size, flags, offset } = structs.dma_map.fields;
  return -device.maps.map(address.get(request), size.get(request), flags.get(request), offset.get(request), fds[0]);
}

function dmaUnmap({ device, request, length, reply }: Exchange): number {
  const { address, size, flags } = structs.dma_unmap.fields;
  const { dma_unmap } = structs;
  if (flags.get(request) === structs.DMA_UNMAP_ALL) {
    if (address.get(request) !== 0n || size.get(request) !== 0n) return -EINVAL;
    device.maps.clear();
  } else if ((flags.get(request) & structs.DMA_UNMAP_DIRTY_BITMAP) !== 0) {
    return -EOPNOTSUPP;
  } else {
    if (flags.get(request) !== 0 || length !== dma_unmap.size) return -EINVAL;
    const error = device.maps.unmap(address.get(request), size.get(request));
    if (error !== 0) return -error;
  }
  reply.bytes.set(request.bytes.subarray(0, dma_unmap.size));
  return dma_unmap.size;
}

function deviceInfo({ device, request, reply }: Exchange): number {
  const { size, fields } = structs.device_info;
  if (fields.argsz.get(request) < size) return -EINVAL;
  const { regions, irqs } = device.model;
  fields.argsz.set(reply, size);
  fields.flags.set(reply, VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
  fields.num_regions.set(reply, Math.max(VFIO_PCI_NUM_REGIONS, ...[...regions.keys()].map((index) => index + 1)));
  fields.num_irqs.set(reply, Math.max(VFIO_PCI_NUM_IRQS, ...[...irqs.keys()].map((index) => index + 1)));
  return size;
}

function regionInfo({ device, request, reply, replyFds }: Exchange): number {
  const { size, fields } = structs.region_info;
  const argsz = fields.argsz.get(request);
  const index = fields.index.get(request);
  const { regions } = device.model;
  if (argsz < size || (index >= VFIO_PCI_NUM_REGIONS && !regions.has(index))) return -EINVAL;
  const region = regions.get(index);
  reply.bytes.fill(0, 0, size);
  fields.argsz.set(reply, size);
  fields.index.set(reply, index);
  if (region === undefined) return size;
  fields.size.setNumber(reply, region.size);
  let flags = accessFlags(region);
  let total = size;
  if (region.memory !== undefined) {
    flags |= VFIO_REGION_INFO_FLAG_MMAP;
    replyFds.push(region.memory.fd);
    total += sparseCapability(region, reply, size, argsz);
    if (total > size) flags |= VFIO_REGION_INFO_FLAG_CAPS;
  }
  fields.flags.set(reply, flags);
  fields.argsz.set(reply, total);
  // As the kernel does it: when there is no room for the chain, the size it needs and no chain.
  if (total === size || argsz < total) return size;
  fields.cap_offset.set(reply, size);
  return total;
}

function accessFlags({ access = "read-write" }: ModelRegion): number {
  return (access === "write" ? 0 : VFIO_REGION_INFO_FLAG_READ) | (access === "read" ? 0 : VFIO_REGION_INFO_FLAG_WRITE);
}

/** Writes the sparse-mmap capability at `offset` when a part of the region is mappable and there is room; its size in bytes. */
function sparseCapability(region: ModelRegion, reply: StructView, offset: number, argsz: number): number {
  const areas = region.memory?.areas ?? [];
  const only = areas.length === 1 ? areas[0] : undefined;
  if (only?.offset === 0 && only.size === region.size) return 0;
  const { size: areaSize, fields: area } = vfio_region_sparse_mmap_area;
  const total = vfio_region_info_cap_sparse_mmap.size + areas.length * areaSize;
  if (argsz < offset + total) return total;
  const capability = vfio_region_info_cap_sparse_mmap.allocate(areas.length * areaSize);
  const { id, version } = vfio_info_cap_header.fields;
  id.set(capability, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
  version.set(capability, 1);
  vfio_region_info_cap_sparse_mmap.fields.nr_areas.set(capability, areas.length);
  for (const [i, { offset: start, size }] of areas.entries()) {
    const entry = vfio_region_sparse_mmap_area.allocate();
    area.offset.setNumber(entry, start);
    area.size.setNumber(entry, size);
    capability.bytes.set(entry.bytes, vfio_region_info_cap_sparse_mmap.size + i * areaSize);
  }
  reply.bytes.set(capability.bytes, offset);
  return total;
}

function regionIoFds({ device, request, reply }: Exchange): number {
  const { size, fields } = structs.region_io_fds;
  const index = fields.index.get(request);
  if (fields.argsz.get(request) < size || fields.flags.get(request) !== 0 || fields.count.get(request) !== 0) {
    return -EINVAL;
  }
  if (index >= VFIO_PCI_NUM_REGIONS && !device.model.regions.has(index)) return -EINVAL;
  // No sub-region has an ioeventfd: every access is a message, or an access to mapped memory.
  reply.bytes.fill(0, 0, size);
  fields.argsz.set(reply, size);
  fields.index.set(reply, index);
  return size;
}

function irqInfo({ device, request, reply }: Exchange): number {
  const { size, fields } = structs.irq_info;
  const index = fields.index.get(request);
  const irq = device.model.irqs.get(index);
  if (fields.argsz.get(request) < size || (index >= VFIO_PCI_NUM_IRQS && irq === undefined)) return -EINVAL;
  fields.argsz.set(reply, size);
  fields.index.set(reply, index);
  fields.count.set(reply, irq?.count ?? 0);
  fields.flags.set(
    reply,
    VFIO_IRQ_INFO_EVENTFD |
      (irq?.maskable === true ? VFIO_IRQ_INFO_MASKABLE : 0) |
      (irq?.autoMasked === true ? VFIO_IRQ_INFO_AUTOMASKED : 0) |
      (irq?.noResize === true ? VFIO_IRQ_INFO_NORESIZE : 0),
  );
  return size;
}

function setIrqs({ device, request, length, fds }: Exchange): number {
  const { fields, size } = irq_set;
  if (fields.argsz.get(request) < size) return -EINVAL;
  const flags = fields.flags.get(request);
  const error = device.irqs.set({
    flags,
    index: fields.index.get(request),
    start: fields.start.get(request),
    count: fields.count.get(request),
    data: request.bytes.subarray(size, length),
    fds,
  });
  if (error === 0 && (flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0) fds.length = 0;
  return -error;
}

/** The region when `offset` and `count` lie inside it and it may be accessed so. */
function accessedRegion(
  device: ServedDevice,
  index: number,
  offset: number,
  count: number,
  access: "read" | "write",
): ModelRegion | undefined {
  const region = device.model.regions.get(index);
  if (region === undefined || count > MAX_DATA_TRANSFER || offset + count > region.size) return undefined;
  return region.access === undefined || region.access === "read-write" || region.access === access ? region : undefined;
}

function regionRead({ device, request, reply, replyData }: Exchange): number {
  const { fields, size } = region_access;
  const offset = fields.offset.getNumber(request);
  const index = fields.region.get(request);
  const count = fields.count.get(request);
  const region = accessedRegion(device, index, offset, count, "read");
  if (region === undefined) return -EINVAL;
  fields.offset.setNumber(reply, offset);
  fields.region.set(reply, index);
  fields.count.set(reply, count);
  try {
    readRegion(index, region, offset, count, replyData, size);
  } catch (error) {
    return device.failed(error, "read");
  }
  return size + count;
}

function regionWrite({ device, request, requestData, reply }: Exchange): number {
  const { fields, size } = region_access;
  const offset = fields.offset.getNumber(request);
  const index = fields.region.get(request);
  const count = fields.count.get(request);
  const region = accessedRegion(device, index, offset, count, "write");
  if (region === undefined) return -EINVAL;
  fields.offset.setNumber(reply, offset);
  fields.region.set(reply, index);
  fields.count.set(reply, count);
  try {
    writeRegion(index, region, offset, count, requestData, size);
  } catch (error) {
    return device.failed(error, "write");
  }
  return size;
}

function regionWriteMulti({ device, request, requestData: data, reply }: Exchange): number {
  const { fields, size } = structs.write_multi;
  const count = fields.count.getNumber(request);
  for (let i = 0; i < count; i += 1) {
    const at = size + i * write_one.size;
    const offset = data.getUint32(at, true) + data.getUint32(at + 4, true) * 2 ** 32;
    const index = data.getUint32(at + write_one.fields.region.offset, true);
    const width = data.getUint32(at + write_one.fields.count.offset, true);
    const region = width > 8 ? undefined : accessedRegion(device, index, offset, width, "write");
    if (region === undefined) return -EINVAL;
    const from = at + write_one.fields.data.offset;
    try {
      writeRegion(index, region, offset, width, data, from);
    } catch (error) {
      return device.failed(error, "write");
    }
  }
  fields.count.setNumber(reply, count);
  return size;
}

/** Every command a client may send, but VERSION, which belongs to the connection. */
const HANDLERS: Readonly<Partial<Record<CommandName, Handler>>> = {
  DMA_MAP: dmaMap,
  DMA_UNMAP: dmaUnmap,
  DEVICE_GET_INFO: deviceInfo,
  DEVICE_GET_REGION_INFO: regionInfo,
  DEVICE_GET_REGION_IO_FDS: regionIoFds,
  DEVICE_GET_IRQ_INFO: irqInfo,
  DEVICE_SET_IRQS: setIrqs,
  REGION_READ: regionRead,
  REGION_WRITE: regionWrite,
  DEVICE_RESET: ({ device }) => (device.reset() ? 0 : -EIO),
  REGION_WRITE_MULTI: regionWriteMulti,
  // The features of the protocol are those of migration; a kernel device without them answers so.
  DEVICE_FEATURE: () => -ENOTTY,
  DIRTY_PAGES: () => -EOPNOTSUPP,
  MIG_DATA_READ: () => -EOPNOTSUPP,
  MIG_DATA_WRITE: () => -EOPNOTSUPP,
};

const BY_NUMBER: readonly (Handler | undefined)[] = Object.values(Commands).reduce<(Handler | undefined)[]>(
  (table, { number }) => {
    table[number] = HANDLERS[commandOf(number)?.name as CommandName];
    return table;
  },
  [],
);

/** Who serves a command; undefined when nobody does. */
export function handlerOf(command: number): Handler | undefined {
  return BY_NUMBER[command];
}

export function closeEach(fds: readonly number[]): void {
  for (const fd of fds) native.close(fd);
}

/** Closes the descriptors that no handler kept. */
export function closeAll(fds: number[]): void {
  closeEach(fds);
  fds.length = 0;
}
