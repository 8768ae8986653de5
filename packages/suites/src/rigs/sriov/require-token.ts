import type { IommuMode } from "@vfio-selftests/core";
import { requireDeviceFileToken } from "../kernel/require-device-file";

/** Skips the tests of the enclosing block where the mode opens device files, and the kernel is too old to take a token there. */
export function requireToken({ traits }: IommuMode, pf: string): void {
  beforeEach(() => {
    if (traits.api === "iommufd") requireDeviceFileToken(pf);
  });
}
