import { IOMMU_HWPT_ALLOC_NEST_PARENT } from "@vfio-selftests/core/uapi";
import { type MockIds, type MockRig, words } from "./mock-rig";
import { IOMMU_HWPT_DATA_SELFTEST } from "./test-command";

/** What a nested page table's cache holds at first, which the caller chooses. */
export const CACHED = 0x600d_cace;

/** A page table in which others may be nested. */
export function parentOf(rig: MockRig, device: MockIds): number {
  return rig.pageTable(device, { flags: IOMMU_HWPT_ALLOC_NEST_PARENT }).need("out_hwpt_id");
}

/** A parent and a page table nested in it. */
export function nest(rig: MockRig, device: MockIds): { parent: number; nested: number } {
  const parent = parentOf(rig, device);
  const values = { pt_id: parent, data_type: IOMMU_HWPT_DATA_SELFTEST };
  return { parent, nested: rig.pageTable(device, values, words(CACHED, 0)).need("out_hwpt_id") };
}
