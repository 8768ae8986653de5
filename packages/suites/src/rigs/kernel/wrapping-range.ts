import { isOlderThan } from "./brought-by-linux";

/** The errno for a range that ends beyond 64 bits. Type 1 checked otherwise before Linux 6.18 (vfio_iommu_type1.c). */
export function wrappingRange({ isType1 }: { readonly isType1: boolean }): "EINVAL" | "EOVERFLOW" {
  return isType1 && isOlderThan("6.18") ? "EINVAL" : "EOVERFLOW";
}
