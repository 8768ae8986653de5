import { Iommu, type IommuMode, VfioError } from "@vfio-selftests/core";
import { requireBrought } from "../kernel/brought-by-linux";
import { VF_TOKEN } from "./vf-token";

/** Skips the tests of the enclosing block where the mode opens device files, and the kernel is too old to take a token there. */
export function requireToken(mode: IommuMode, pf: string): void {
  beforeEach(() => {
    requireBrought("VFIO_DEVICE_BIND_FLAG_TOKEN", () => mode.traits.api !== "iommufd" || takesToken(mode, pf));
  });
}

function takesToken(mode: IommuMode, pf: string): boolean {
  using iommu = new Iommu(mode.open());
  try {
    iommu.openDevice(pf, { vfToken: VF_TOKEN }).close();
    return true;
  } catch (error) {
    if (error instanceof VfioError && error.code === "EINVAL") return false;
    throw error;
  }
}
