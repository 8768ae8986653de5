import {
  infoCapabilities,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_region_info,
  vfio_region_info_cap_sparse_mmap,
  vfio_region_info_cap_type,
  vfio_region_sparse_mmap_area,
  type RegionArea,
  type RegionInfo,
} from "@vfio-selftests/core";
import { infoIoctl } from "./info-ioctl";
import type { KernelEnvironment } from "./kernel-calls";

/** VFIO_DEVICE_GET_REGION_INFO of one region. */
export function readRegionInfo(kernel: KernelEnvironment, fd: number, address: string, index: number): RegionInfo {
  const view = infoIoctl(
    kernel,
    fd,
    { VFIO_DEVICE_GET_REGION_INFO },
    `${address}, region ${index}`,
    vfio_region_info,
    (request) => vfio_region_info.fields.index.set(request, index),
  );
  return decodeRegionInfo(index, view.bytes);
}

/** A region from the bytes of the kernel's (or a vfio-user server's) whole reply. */
export function decodeRegionInfo(index: number, reply: Uint8Array): RegionInfo {
  const fields = vfio_region_info.fields;
  const view = vfio_region_info.copyOf(reply);
  const flags = fields.flags.get(view);
  const size = fields.size.getNumber(view);
  const mappable = (flags & VFIO_REGION_INFO_FLAG_MMAP) !== 0 && size > 0;

  let mappableAreas: RegionArea[] = mappable ? [{ offset: 0, size }] : [];
  let msixMappable = false;
  let type: RegionInfo["type"];
  const firstCapability = (flags & VFIO_REGION_INFO_FLAG_CAPS) === 0 ? 0 : fields.cap_offset.get(view);
  for (const capability of infoCapabilities(reply, firstCapability, vfio_region_info.size)) {
    if (capability.id === VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
      mappableAreas = mappable ? sparseAreas(reply, capability.offset) : [];
    } else if (capability.id === VFIO_REGION_INFO_CAP_MSIX_MAPPABLE) {
      msixMappable = true;
    } else if (capability.id === VFIO_REGION_INFO_CAP_TYPE) {
      const typed = vfio_region_info_cap_type.copyOf(reply, capability.offset);
      const typeFields = vfio_region_info_cap_type.fields;
      type = { type: typeFields.type.get(typed), subtype: typeFields.subtype.get(typed) };
    }
  }
  return {
    index,
    flags,
    size,
    offset: fields.offset.get(view),
    readable: (flags & VFIO_REGION_INFO_FLAG_READ) !== 0,
    writable: (flags & VFIO_REGION_INFO_FLAG_WRITE) !== 0,
    mappable,
    mappableAreas,
    msixMappable,
    ...(type === undefined ? {} : { type }),
  };
}

function sparseAreas(reply: Uint8Array, offset: number): RegionArea[] {
  const head = vfio_region_info_cap_sparse_mmap;
  const count = head.fields.nr_areas.get(head.copyOf(reply, offset));
  const { offset: start, size } = vfio_region_sparse_mmap_area.fields;
  return Array.from({ length: count }, (_, number) => {
    const area = vfio_region_sparse_mmap_area.copyOf(
      reply,
      offset + head.size + number * vfio_region_sparse_mmap_area.size,
    );
    return { offset: start.getNumber(area), size: size.getNumber(area) };
  }).filter((area) => area.size > 0);
}
