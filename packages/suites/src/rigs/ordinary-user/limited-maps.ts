import { DmaMemory, type DmaRegion, Iommu, VfioError } from "@vfio-selftests/core";
import { IOMMU_OPTION, iommu_option, IOMMU_OPTION_OP_SET } from "@vfio-selftests/core/uapi";
import { findMode, rawSpaceOf } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { askKernel } from "../raw/ask-kernel";
import type { LimitedMaps, LimitedMapsResult } from "./as-nobody";
import { lockedMemory } from "./locked-memory";

const RLIMIT_MEMLOCK = 8;

/** The program of {@link asNobody}: it maps and unmaps as told, under a limit, and prints the kernel's answers. */
const { mode, address, limitPages, steps } = JSON.parse(process.argv[2] ?? "") as LimitedMaps;
const page = native.pageSize();
native.setResourceLimit(RLIMIT_MEMLOCK, limitPages * page, limitPages * page);
const iommu = new Iommu(findMode(mode).open());
iommu.openDevice(address);
const memory = DmaMemory.allocate(64 * page);
const regions: (DmaRegion | undefined)[] = [];
const before = lockedMemory();
const answers: string[] = [];
const locked: number[] = [];
for (const step of steps) {
  answers.push(take(step));
  const now = lockedMemory();
  locked.push(Math.max(now.locked - before.locked, now.pinned - before.pinned));
}
const result: LimitedMapsResult = { answers, locked, limitModeChange: changeLimitMode() };
console.log(JSON.stringify(result));

/** Maps `step` pages. Below 0 it unmaps instead: -1 is the first map that succeeded. */
function take(step: number): string {
  if (step < 0) {
    regions[-step - 1]?.unmap();
    regions[-step - 1] = undefined;
    return "unmapped";
  }
  try {
    regions.push(iommu.map(memory, { length: step * page }));
    return "ok";
  } catch (error) {
    if (error instanceof VfioError) return error.code;
    throw error;
  }
}

/** Tries to choose another way of counting against the limit, which no ordinary user may. */
function changeLimitMode(): string {
  return askKernel(rawSpaceOf(iommu).file, { IOMMU_OPTION }, iommu_option, { op: IOMMU_OPTION_OP_SET, val64: 1 }).code;
}
