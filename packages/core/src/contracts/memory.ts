/**
 * Memory that can be mapped for DMA: allocated {@link DmaMemory}, or a mapped BAR (peer-to-peer). The kernel back ends
 * need only the address. vfio-user passes `fd` to the other end, or serves `buffer` by message.
 */
export interface MappableMemory {
  /** Virtual address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
  /** Ordinary memory; absent for device registers. */
  readonly buffer?: ArrayBuffer;
  /** The file behind it (memfd), with the offset of the first byte; absent for anonymous memory. */
  readonly file?: { readonly fd: number; readonly offset: number } | undefined;
  /** True once unmapped from the process. It can no longer be mapped for DMA. */
  readonly closed: boolean;
  /** `Iommu` calls it when a DMA mapping of this memory begins and ends. Memory refuses to close while it is mapped. */
  addMapping?(mapping: DmaMapping): void;
  /** `Iommu` calls it when a DMA mapping of this memory ends. */
  removeMapping?(mapping: DmaMapping): void;
}

/** Where memory is mapped for DMA. */
export interface DmaMapping {
  /** I/O virtual address of the first byte. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number;
}

/**
 * The backing of an allocation. `anonymous`: private anonymous pages. `shared`: shared anonymous (shmem). `memfd`: a
 * sealed memfd, which another process can map. `hugetlb-2m` and `hugetlb-1g`: reserved huge pages. `memfd-2m`: a memfd
 * on 2 MiB huge pages.
 */
export type MemoryBacking = "anonymous" | "shared" | "memfd" | "memfd-2m" | "hugetlb-2m" | "hugetlb-1g";
