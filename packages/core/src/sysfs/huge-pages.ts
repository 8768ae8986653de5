import { readNumber, type SystemPaths, systemPaths } from "./system-paths";

/** Counts of one huge page size (hugetlb). */
export interface HugePageCounts {
  /** nr_hugepages: reserved by the administrator. */
  readonly reserved: number;
  /** free_hugepages: not used by anybody. */
  readonly free: number;
  /** Promised to mappings but not yet used. They are part of `free`. */
  readonly promised: number;
}

/** The file that sets how many pages of `pageSize` bytes are reserved. */
export function hugePageFile(pageSize: number, paths: SystemPaths = systemPaths): string {
  return paths.sys("kernel", "mm", "hugepages", `hugepages-${pageSize / 1024}kB`, "nr_hugepages");
}

/** Undefined if the kernel or the CPU has no huge pages of this size (bytes). */
export function hugePageCounts(pageSize: number, paths: SystemPaths = systemPaths): HugePageCounts | undefined {
  const file = (name: string) => hugePageFile(pageSize, paths).replace(/nr_hugepages$/, name);
  const reserved = readNumber(file("nr_hugepages"));
  if (reserved === undefined) return undefined;
  return {
    reserved,
    free: readNumber(file("free_hugepages")) ?? 0,
    promised: readNumber(file("resv_hugepages")) ?? 0,
  };
}
