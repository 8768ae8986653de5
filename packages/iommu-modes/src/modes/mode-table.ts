import type { ModeTraits } from "@vfio-selftests/core";
import type { KernelModeName } from "@vfio-selftests/core/backend";

/** One way to the kernel. `mapsRegisters` is absent: it depends on what serves the container on this machine. */
export interface ModeEntry {
  readonly name: string;
  readonly description: string;
  readonly traits: Omit<ModeTraits, "mapsRegisters">;
  /** Maps memory that has a file by its file. */
  readonly mapFiles?: boolean;
}

const VFIO_CONTAINER = ["vfio", "vfio"];
/** The path of iommufd under /dev. It can stand for a container, too. */
export const IOMMUFD_PATH = ["iommu"];

const TYPE1 = { api: "container", splitsMappings: true, choosesIova: false } as const;
const TYPE1V2 = { ...TYPE1, splitsMappings: false } as const;
const IOMMUFD = { api: "iommufd", splitsMappings: false, choosesIova: true } as const;

const ENTRIES: Readonly<Record<KernelModeName, Omit<ModeEntry, "name">>> = {
  vfio_type1_iommu: {
    description: "VFIO container, type 1: a mapping may be unmapped by any area that contains its start",
    traits: { ...TYPE1, container: { path: VFIO_CONTAINER, type: 1 } },
  },
  vfio_type1v2_iommu: {
    description: "VFIO container, type 1 version 2: an unmap may not cut through a mapping",
    traits: { ...TYPE1V2, container: { path: VFIO_CONTAINER, type: 2 } },
  },
  iommufd_compat_type1: {
    description: "iommufd as a VFIO container, type 1: no large IOMMU pages, so that any area can be unmapped",
    traits: { ...TYPE1, container: { path: IOMMUFD_PATH, type: 1 } },
  },
  iommufd_compat_type1v2: {
    description: "iommufd as a VFIO container, type 1 version 2",
    traits: { ...TYPE1V2, container: { path: IOMMUFD_PATH, type: 2 } },
  },
  iommufd: {
    description: "iommufd with device files (cdev)",
    traits: IOMMUFD,
  },
};

export function modeEntry(name: KernelModeName): ModeEntry {
  return { name, ...ENTRIES[name] };
}

/** A variant of iommufd from upstream's mapping benchmark. It is not one of upstream's modes. */
export const MAP_FILE_ENTRY: ModeEntry = {
  name: "iommufd_map_file",
  description: "iommufd with device files; memfds are mapped by their file (IOMMU_IOAS_MAP_FILE)",
  traits: IOMMUFD,
  mapFiles: true,
};
