import { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU } from "@vfio-selftests/core/uapi";

/** How a mode reaches the kernel: through a container and groups, or through iommufd and device files. */
export interface ModeEntry {
  readonly name: string;
  readonly description: string;
  /** The container's path under /dev; undefined for native iommufd. */
  readonly container?: { readonly path: readonly string[]; readonly type: number; readonly typeName: string };
  /** Memory that has a file is mapped by it. */
  readonly mapFiles?: boolean;
}

const VFIO_CONTAINER = ["vfio", "vfio"];
const IOMMUFD = ["iommu"];
const TYPE1 = { type: VFIO_TYPE1_IOMMU, typeName: "VFIO_TYPE1_IOMMU" };
const TYPE1V2 = { type: VFIO_TYPE1v2_IOMMU, typeName: "VFIO_TYPE1v2_IOMMU" };

/** The five modes, in upstream's order. */
export const MODE_TABLE = [
  {
    name: "vfio_type1_iommu",
    description: "VFIO container, type 1: a mapping may be unmapped by any area that contains its start",
    container: { path: VFIO_CONTAINER, ...TYPE1 },
  },
  {
    name: "vfio_type1v2_iommu",
    description: "VFIO container, type 1 version 2: an unmap may not cut through a mapping",
    container: { path: VFIO_CONTAINER, ...TYPE1V2 },
  },
  {
    name: "iommufd_compat_type1",
    description: "iommufd as a VFIO container, type 1: no large IOMMU pages, so that any area can be unmapped",
    container: { path: IOMMUFD, ...TYPE1 },
  },
  {
    name: "iommufd_compat_type1v2",
    description: "iommufd as a VFIO container, type 1 version 2",
    container: { path: IOMMUFD, ...TYPE1V2 },
  },
  {
    name: "iommufd",
    description: "iommufd with device files (cdev)",
  },
] as const satisfies readonly ModeEntry[];

/** Not one of upstream's modes, but a variant of iommufd that its mapping benchmark knows. */
export const MAP_FILE_ENTRY = {
  name: "iommufd_map_file",
  description: "iommufd with device files; memfds are mapped by their file (IOMMU_IOAS_MAP_FILE)",
  mapFiles: true,
} as const satisfies ModeEntry;

export type IommuModeName = (typeof MODE_TABLE)[number]["name"];
