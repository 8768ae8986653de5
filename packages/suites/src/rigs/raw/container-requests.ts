import { type DmaMemory, type IommuMode } from "@vfio-selftests/core";
import type { StructView } from "@vfio-selftests/core/uapi";
import {
  infoCapabilities,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  vfio_iommu_type1_info,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  vfio_iommu_type1_info_cap_iova_range,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  vfio_iommu_type1_info_dma_avail,
  VFIO_IOMMU_UNMAP_DMA,
  vfio_iova_range,
} from "@vfio-selftests/core/uapi";
import { PAGE_SIZE } from "../memory/page-size";
import { type Answer, askKernel } from "./ask-kernel";
import { GroupFiles } from "./group-files";

const PAGE = BigInt(PAGE_SIZE);
/** Bytes for VFIO_IOMMU_GET_INFO: more than any chain of capabilities needs. */
export const ROOM = 4096;
export const INFO = vfio_iommu_type1_info.fields;

/** A container whose group and IOMMU are set. */
export function ready(mode: IommuMode, address: string): GroupFiles {
  const files = new GroupFiles(mode, address);
  expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
  if (!files.isType1) {
    // iommufd's address space knows the device's IOMMU once the device has been opened.
    const device = files.openDevice();
    files.group.adopt(device);
  }
  return files;
}

/** VFIO_IOMMU_GET_INFO in so many bytes, which claims to be of the size `said`. */
export function info({ container }: Pick<GroupFiles, "container">, bytes: number, said = bytes): Answer {
  return askKernel(container, { VFIO_IOMMU_GET_INFO }, vfio_iommu_type1_info, {}, { bytes, said });
}

/** VFIO_IOMMU_MAP_DMA for the device to read; without other words one page. */
export function map(
  { container }: GroupFiles,
  memory: DmaMemory,
  iova: bigint,
  vaddr = memory.address,
  size: bigint | number = PAGE,
): Answer {
  const request = { flags: VFIO_DMA_MAP_FLAG_READ, vaddr, iova, size };
  return askKernel(container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, request);
}

/** VFIO_IOMMU_UNMAP_DMA of the whole address space. */
export function unmapAll({ container }: GroupFiles): Answer {
  const request = { flags: VFIO_DMA_UNMAP_FLAG_ALL };
  return askKernel(container, { VFIO_IOMMU_UNMAP_DMA }, vfio_iommu_type1_dma_unmap, request);
}

/** How many mappings the kernel says can still be made. */
export function mappingsLeft(files: GroupFiles): number {
  const capability = chainOf(info(files, ROOM)).capabilities[VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL];
  if (capability === undefined) throw new Error("the kernel does not report how many mappings can still be made");
  return vfio_iommu_type1_info_dma_avail.fields.avail.get(vfio_iommu_type1_info_dma_avail.copyOf(capability.bytes));
}

/** One link of the chain. */
export interface Capability {
  readonly version: number;
  readonly offset: number;
  /** From its header to the end of the reply. */
  readonly bytes: Uint8Array;
}

/** What VFIO_IOMMU_GET_INFO tells. */
export interface Chain {
  readonly flags: number;
  readonly pageSizes: bigint;
  /** By id. */
  readonly capabilities: Readonly<Record<number, Capability>>;
}

/** The answer to `info`, taken apart. Each capability may be there once. */
export function chainOf({ code, view }: Answer): Chain {
  expect(code).toBe("ok");
  const { bytes } = view;
  const chain = infoCapabilities(bytes, INFO.cap_offset.get(view), vfio_iommu_type1_info.size);
  const capabilities = chain.map(
    ({ id, version, offset }) => [id, { version, offset, bytes: bytes.subarray(offset) }] as const,
  );
  expect(new Set(capabilities.map(([id]) => id)).size).toBe(capabilities.length);
  return {
    flags: INFO.flags.get(view),
    pageSizes: INFO.iova_pgsizes.get(view),
    capabilities: Object.fromEntries(capabilities),
  };
}

/** The usable ranges, in the kernel's order; none where it tells of none. */
export function rangesOf(capabilities: Chain["capabilities"]): { start: bigint; last: bigint }[] {
  const bytes = capabilities[VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE]?.bytes;
  if (bytes === undefined) return [];
  const head = vfio_iommu_type1_info_cap_iova_range;
  const count = head.fields.nr_iovas.get(head.copyOf(bytes));
  return Array.from({ length: count }, (_, number) => {
    const range: StructView = vfio_iova_range.copyOf(bytes, head.size + number * vfio_iova_range.size);
    return { start: vfio_iova_range.fields.start.get(range), last: vfio_iova_range.fields.end.get(range) };
  });
}
