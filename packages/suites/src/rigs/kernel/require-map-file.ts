import { IOMMU_IOAS_MAP_FILE, iommu_ioas_map_file } from "@vfio-selftests/core/uapi";
import type { KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { askPlainly } from "../raw/ask-kernel";
import { requireBrought } from "./brought-by-linux";

/** Skips the test where the kernel is too old to map files. A younger one refuses the empty request, but knows it. */
export function requireMapFile({ file }: { readonly file: KernelFileAccess }): void {
  requireBrought(
    "IOMMU_IOAS_MAP_FILE",
    () => askPlainly(file, { IOMMU_IOAS_MAP_FILE }, new Uint8Array(iommu_ioas_map_file.size)) !== "ENOTTY",
  );
}
