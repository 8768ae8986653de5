import { DmaMemory } from "@vfio-selftests/core";
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  VFIO_IOMMU_UNMAP_DMA,
} from "@vfio-selftests/core/uapi";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";
import { askKernel } from "../raw/ask-kernel";
import { lockedMemory } from "./locked-memory";
import type { Charge, TakeOver, TakeOverResult } from "./take-over";

const CONTAINER = 3;
const RLIMIT_MEMLOCK = 8;

/** The program of {@link takeOver}. */
const { iova, pages, limitPages } = JSON.parse(process.argv[2] ?? "") as TakeOver;
if (limitPages !== undefined) {
  native.setResourceLimit(RLIMIT_MEMLOCK, limitPages * PAGE_SIZE, limitPages * PAGE_SIZE);
}
using container = new KernelFile(realKernel, CONTAINER, "the container");
using memory = DmaMemory.allocate(pages * PAGE_SIZE);
const area = { iova: BigInt(`0x${iova}`), size: memory.length };
const before = lockedMemory().locked;
const charge = (answer: string): Charge => ({ answer, locked: lockedMemory().locked - before });
const values = { flags: VFIO_DMA_MAP_FLAG_VADDR, vaddr: memory.address, ...area };
const taken = charge(askKernel(container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, values).code);
const result: TakeOverResult = {
  ...taken,
  ...(taken.answer === "ok" && {
    unmapped: charge(askKernel(container, { VFIO_IOMMU_UNMAP_DMA }, vfio_iommu_type1_dma_unmap, area).code),
  }),
};
console.log(JSON.stringify(result));
