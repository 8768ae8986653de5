import {
  infoCapabilities,
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
} from "@vfio-selftests/core";
import type { RegionArea, RegionInfo } from "@vfio-selftests/core";

/** A region from the body of a server's reply. Throws RangeError or VfioError when its capabilities do not fit into it. */
export function decodeRegionInfo(index: number, reply: Uint8Array): RegionInfo {
  const { fields } = vfio_region_info;
  const view = vfio_region_info.copyOf(reply);
  const flags = fields.flags.get(view);
  const size = fields.size.getNumber(view);
  const mappable = (flags & VFIO_REGION_INFO_FLAG_MMAP) !== 0 && size > 0;
  let mappableAreas: RegionArea[] = mappable ? [{ offset: 0, size }] : [];
  let msixMappable = false;
  let type: RegionInfo["type"];
  const first = (flags & VFIO_REGION_INFO_FLAG_CAPS) === 0 ? 0 : fields.cap_offset.get(view);
  for (const { id, offset } of infoCapabilities(reply, first, vfio_region_info.size)) {
    if (id === VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
      mappableAreas = mappable ? sparseAreas(reply, offset, size) : [];
    } else if (id === VFIO_REGION_INFO_CAP_MSIX_MAPPABLE) {
      msixMappable = true;
    } else if (id === VFIO_REGION_INFO_CAP_TYPE) {
      const layout = vfio_region_info_cap_type;
      const capability = layout.copyOf(reply, offset);
      type = { type: layout.fields.type.get(capability), subtype: layout.fields.subtype.get(capability) };
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

/** The areas inside the region; a server's word alone does not make one. */
function sparseAreas(reply: Uint8Array, at: number, regionSize: number): RegionArea[] {
  const head = vfio_region_info_cap_sparse_mmap;
  const count = head.fields.nr_areas.get(head.copyOf(reply, at));
  const { fields, size: entrySize } = vfio_region_sparse_mmap_area;
  const areas: RegionArea[] = [];
  for (let i = 0; i < count; i += 1) {
    const entry = vfio_region_sparse_mmap_area.copyOf(reply, at + head.size + i * entrySize);
    const offset = fields.offset.getNumber(entry);
    const size = fields.size.getNumber(entry);
    if (size > 0 && offset + size <= regionSize) areas.push({ offset, size });
  }
  return areas;
}
