import { constants } from "node:os";
import { VFIO_IRQ_SET_DATA_EVENTFD } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import type { CommandName } from "../../protocol/commands";
import { commandOf, Commands } from "../../protocol/commands";
import { MAX_DATA_TRANSFER } from "../../protocol/limits";
import * as structs from "../../protocol/structs";
import type { ModelRegion } from "../device-model";
import { readMigrationData, writeMigrationData } from "../migration/data-handlers";
import { deviceFeature } from "../migration/feature-handlers";
import type { ServedDevice } from "../served-device";
import type { Exchange, Handler } from "./exchange";
import { deviceInfo, irqInfo, regionInfo, regionIoFds } from "./info-handlers";
import { readRegion, writeRegion } from "./region-access";

const { EINVAL, EIO, EOPNOTSUPP } = constants.errno;

const { region_access, irq_set, write_one } = structs;

function dmaMap({ device, request, fds }: Exchange): number {
  const { argsz, address, size, flags, offset } = structs.dma_map.fields;
  if (argsz.get(request) < structs.dma_map.size) return -EINVAL;
  return -device.maps.map(address.get(request), size.get(request), flags.get(request), offset.get(request), fds[0]);
}

function dmaUnmap({ device, request, reply }: Exchange): number {
  const { dma_unmap } = structs;
  const { argsz, address, size, flags } = dma_unmap.fields;
  if (argsz.get(request) < dma_unmap.size) return -EINVAL;
  if (flags.get(request) === structs.DMA_UNMAP_ALL) {
    if (address.get(request) !== 0n || size.get(request) !== 0n) return -EINVAL;
    device.maps.clear();
  } else if ((flags.get(request) & structs.DMA_UNMAP_DIRTY_BITMAP) !== 0) {
    return -EOPNOTSUPP;
  } else {
    if (flags.get(request) !== 0) return -EINVAL;
    const error = device.maps.unmap(address.get(request), size.get(request));
    if (error !== 0) return -error;
  }
  reply.bytes.set(request.bytes.subarray(0, dma_unmap.size));
  return dma_unmap.size;
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

/** The region, if `offset` and `count` lie inside it and it allows the access. */
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

/** Every command that a client may send, except VERSION, which belongs to the connection. */
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
  DEVICE_FEATURE: deviceFeature,
  DIRTY_PAGES: () => -EOPNOTSUPP,
  MIG_DATA_READ: readMigrationData,
  MIG_DATA_WRITE: writeMigrationData,
};

const BY_NUMBER: readonly (Handler | undefined)[] = Object.values(Commands).reduce<(Handler | undefined)[]>(
  (table, { number }) => {
    table[number] = HANDLERS[commandOf(number)?.name as CommandName];
    return table;
  },
  [],
);

/** The handler of a command; undefined if there is none. */
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
