import type { IommuMode } from "@vfio-selftests/core";
import type { Target } from "@vfio-selftests/harness";

/** The modes in which a mediated device has an address space of its own: each container, and iommufd once. */
export function pinModes({ modes }: Pick<Target, "modes">): readonly IommuMode[] {
  const own = modes.filter(({ traits }) => traits.api === "iommufd" && traits.container === undefined);
  return [...modes.filter(({ traits }) => traits.container !== undefined), ...own.slice(0, 1)];
}

/** VFIO's type 1 driver pins in its second version only. */
export function canPin({ traits }: IommuMode): boolean {
  return !traits.mapsRegisters || traits.container?.type === 2;
}
