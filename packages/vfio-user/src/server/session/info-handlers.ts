import { constants } from "node:os";
import type { StructView } from "@vfio-selftests/core/uapi";
import {
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  vfio_info_cap_header,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  vfio_region_info_cap_sparse_mmap,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_region_sparse_mmap_area,
} from "@vfio-selftests/core/uapi";
import * as structs from "../../protocol/structs";
import type { ModelRegion, ModelRegionMemory } from "../device-model";
import type { Exchange } from "./exchange";

const { EINVAL } = constants.errno;

export function deviceInfo({ device, request, reply }: Exchange): number {
  const { size, fields } = structs.device_info;
  if (fields.argsz.get(request) < size) return -EINVAL;
  const { regions, irqs } = device.model;
  fields.argsz.set(reply, size);
  fields.flags.set(reply, VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
  fields.num_regions.set(reply, Math.max(VFIO_PCI_NUM_REGIONS, ...[...regions.keys()].map((index) => index + 1)));
  fields.num_irqs.set(reply, Math.max(VFIO_PCI_NUM_IRQS, ...[...irqs.keys()].map((index) => index + 1)));
  return size;
}

export function regionInfo({ device, request, reply, replyFds }: Exchange): number {
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
    total += sparseCapability(region.memory, reply, size, argsz);
  }
  fields.argsz.set(reply, total);
  // Like the kernel and libvfio-user: without room for the chain, the reply has the size that it needs and no chain.
  // The descriptor belongs to the chain, because libvfio-user's client has no room for it in its first request.
  const withChain = region.memory !== undefined && argsz >= total;
  fields.flags.set(reply, withChain ? flags | VFIO_REGION_INFO_FLAG_CAPS : flags);
  if (!withChain) return size;
  replyFds.push(region.memory.fd);
  fields.cap_offset.set(reply, size);
  return total;
}

function accessFlags({ access = "read-write" }: ModelRegion): number {
  return (access === "write" ? 0 : VFIO_REGION_INFO_FLAG_READ) | (access === "read" ? 0 : VFIO_REGION_INFO_FLAG_WRITE);
}

/** Writes the sparse-mmap capability at `offset` if there is room. Returns its size in bytes. */
function sparseCapability({ areas }: ModelRegionMemory, reply: StructView, offset: number, argsz: number): number {
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

export function regionIoFds({ device, request, reply }: Exchange): number {
  const { size, fields } = structs.region_io_fds;
  const index = fields.index.get(request);
  if (fields.argsz.get(request) < size || fields.flags.get(request) !== 0 || fields.count.get(request) !== 0) {
    return -EINVAL;
  }
  if (index >= VFIO_PCI_NUM_REGIONS && !device.model.regions.has(index)) return -EINVAL;
  // No sub-region has an ioeventfd. Every access is a message, or an access to mapped memory.
  reply.bytes.fill(0, 0, size);
  fields.argsz.set(reply, size);
  fields.index.set(reply, index);
  return size;
}

export function irqInfo({ device, request, reply }: Exchange): number {
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
