import { VfioError } from "../errors/vfio-error";
import { vfio_info_cap_header } from "./vfio-structs";

/** One link of an info capability chain. `offset` is that of its header in the info structure. */
export interface InfoCapability {
  /** VFIO_REGION_INFO_CAP_*, VFIO_IOMMU_TYPE1_INFO_CAP_*, …. */
  readonly id: number;
  /** The version of its layout. */
  readonly version: number;
  /** Bytes from the start of the info structure to the capability's header. */
  readonly offset: number;
}

const { id, version, next } = vfio_info_cap_header.fields;

/**
 * The capabilities behind a VFIO info structure (vfio_info_cap_header). `info` is the whole reply, `structSize` the
 * size of the structure before the chain. Throws ERR_BAD_CAPABILITY_CHAIN if an offset points into the structure,
 * outside the reply, or back.
 */
export function infoCapabilities(info: Uint8Array, firstOffset: number, structSize: number): InfoCapability[] {
  if (firstOffset === 0) return [];
  const found: InfoCapability[] = [];
  const seen = new Set<number>();
  for (let offset = firstOffset; offset !== 0;) {
    if (offset < structSize || offset + vfio_info_cap_header.size > info.length || seen.has(offset)) {
      throw new VfioError(`info capability chain leads to offset ${offset} of ${info.length}`, {
        code: "ERR_BAD_CAPABILITY_CHAIN",
        operation: "info capability chain",
      });
    }
    seen.add(offset);
    const header = vfio_info_cap_header.copyOf(info, offset);
    found.push({ id: id.get(header), version: version.get(header), offset });
    offset = next.get(header);
  }
  return found;
}
