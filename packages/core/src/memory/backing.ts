import type { MemoryBacking } from "../contracts/memory";
import {
  MAP_ANONYMOUS,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_HUGETLB,
} from "../uapi/mman";

export interface BackingKind {
  /** Flags of mmap. */
  readonly mapFlags: number;
  /** Flags of memfd_create; undefined for anonymous memory. */
  readonly memfdFlags?: number;
  /** Bytes of one huge page; undefined for the base page. */
  readonly hugePageSize?: number;
}

const MIB = 1024 * 1024;

export const BACKINGS: Readonly<Record<MemoryBacking, BackingKind>> = {
  anonymous: { mapFlags: MAP_PRIVATE | MAP_ANONYMOUS },
  shared: { mapFlags: MAP_SHARED | MAP_ANONYMOUS },
  memfd: { mapFlags: MAP_SHARED, memfdFlags: MFD_ALLOW_SEALING },
  "memfd-2m": {
    mapFlags: MAP_SHARED,
    memfdFlags: MFD_ALLOW_SEALING | MFD_HUGETLB | MAP_HUGE_2MB,
    hugePageSize: 2 * MIB,
  },
  "hugetlb-2m": { mapFlags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, hugePageSize: 2 * MIB },
  "hugetlb-1g": { mapFlags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_1GB, hugePageSize: 1024 * MIB },
};
