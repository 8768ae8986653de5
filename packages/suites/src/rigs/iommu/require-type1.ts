import type { IommuMode } from "@vfio-selftests/core";
import { skip, type Target } from "@vfio-selftests/harness";

/**
 * Skips the tests of the enclosing block where VFIO's type 1 driver does not serve the container: with
 * CONFIG_IOMMUFD_VFIO_CONTAINER, iommufd does.
 */
export function requireType1(mode: IommuMode): void {
  beforeEach(() => {
    if (mode.traits.mapsRegisters) return;
    skip({
      reason: "this kernel's VFIO container is not the type 1 driver's",
      remedy: "use a kernel with CONFIG_VFIO_IOMMU_TYPE1, loaded, and without CONFIG_IOMMUFD_VFIO_CONTAINER",
    });
  });
}

/** Whether the mode opens VFIO's own container file, not iommufd's. */
export function opensVfioContainer({ traits }: IommuMode): boolean {
  return traits.container?.path[0] === "vfio";
}

/** The modes on VFIO's own container file. */
export function vfioContainerModes({ modes }: Pick<Target, "modes">): readonly IommuMode[] {
  return modes.filter(opensVfioContainer);
}
