import type { IrqInfo, RegionArea, RegionInfo } from "../contracts/vfio-device";
import { infoCapabilities } from "./capability-chain";
import type { StructView } from "./struct";
import {
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
} from "./vfio-numbers";
import {
  vfio_irq_info,
  vfio_region_info,
  vfio_region_info_cap_sparse_mmap,
  vfio_region_info_cap_type,
  vfio_region_sparse_mmap_area,
} from "./vfio-structs";

/**
 * Decodes a region from the whole reply of the kernel, or of a vfio-user server. Throws ERR_SHORT_STRUCT or
 * ERR_BAD_CAPABILITY_CHAIN if the capabilities do not fit into it.
 */
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
      mappableAreas = mappable ? sparseAreas(reply, capability.offset, size) : [];
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

/** The areas that are not empty and lie inside the region. */
function sparseAreas(reply: Uint8Array, at: number, regionSize: number): RegionArea[] {
  const head = vfio_region_info_cap_sparse_mmap;
  const count = head.fields.nr_areas.get(head.copyOf(reply, at));
  const { fields, size: entrySize } = vfio_region_sparse_mmap_area;
  const areas: RegionArea[] = [];
  // One by one, so that a lying count ends with the reply.
  for (let number = 0; number < count; number += 1) {
    const area = vfio_region_sparse_mmap_area.copyOf(reply, at + head.size + number * entrySize);
    const offset = fields.offset.getNumber(area);
    const size = fields.size.getNumber(area);
    if (size > 0 && offset + size <= regionSize) areas.push({ offset, size });
  }
  return areas;
}

/** Decodes an interrupt index from a vfio_irq_info. */
export function decodeIrqInfo(index: number, info: StructView): IrqInfo {
  const flags = vfio_irq_info.fields.flags.get(info);
  return {
    index,
    flags,
    count: vfio_irq_info.fields.count.get(info),
    eventfd: (flags & VFIO_IRQ_INFO_EVENTFD) !== 0,
    maskable: (flags & VFIO_IRQ_INFO_MASKABLE) !== 0,
    autoMasked: (flags & VFIO_IRQ_INFO_AUTOMASKED) !== 0,
    noResize: (flags & VFIO_IRQ_INFO_NORESIZE) !== 0,
  };
}
