import type { MemoryBacking } from "@vfio-selftests/core";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** What the benchmark maps; `bar`: a device's largest BAR. */
export type MappedThing = MemoryBacking | "bar";

export interface MappingCase {
  readonly thing: MappedThing;
  /** Bytes; for `bar`, the device decides. */
  readonly bytes: number;
  /** How often to map and unmap it. */
  readonly count: number;
}

export const MAPPING_CASES: readonly MappingCase[] = [
  { thing: "anonymous", bytes: 4 * KIB, count: 500 },
  { thing: "anonymous", bytes: 64 * KIB, count: 300 },
  { thing: "anonymous", bytes: 2 * MIB, count: 100 },
  { thing: "anonymous", bytes: 64 * MIB, count: 10 },
  { thing: "hugetlb-2m", bytes: 2 * MIB, count: 200 },
  { thing: "hugetlb-2m", bytes: 64 * MIB, count: 30 },
  { thing: "hugetlb-1g", bytes: GIB, count: 20 },
  { thing: "memfd", bytes: 4 * KIB, count: 500 },
  { thing: "memfd", bytes: 2 * MIB, count: 100 },
  { thing: "memfd", bytes: 64 * MIB, count: 10 },
  { thing: "memfd-2m", bytes: 2 * MIB, count: 200 },
  { thing: "memfd-2m", bytes: 64 * MIB, count: 30 },
  { thing: "bar", bytes: 0, count: 100 },
];

/** `4 KiB`, `64 MiB` */
export function sizeText(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", GIB],
    ["MiB", MIB],
    ["KiB", KIB],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${unit}`;
  }
  return `${bytes} bytes`;
}
