import type { IommuMode } from "@vfio-selftests/core";
import type { Target } from "@vfio-selftests/harness";
import { modesOf } from "../iommu/modes-of";

/** The modes in which a mediated device has an address space of its own: each container, and iommufd once. */
export function pinModes(target: Pick<Target, "modes">): readonly IommuMode[] {
  return [...modesOf(target, "container"), ...modesOf(target, "iommufd").slice(0, 1)];
}

/** VFIO's type 1 driver pins in its second version only. */
export function canPin({ traits }: IommuMode): boolean {
  return !traits.mapsRegisters || traits.container?.type === 2;
}
