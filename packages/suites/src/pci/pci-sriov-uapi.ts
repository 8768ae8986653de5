import { release } from "node:os";
import { Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_DEVICE_FEATURE_PCI_VF_TOKEN } from "@vfio-selftests/core/uapi";
import { defaultMode, eachMode, errorWithCode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { isOlderThan } from "../rigs/kernel/brought-by-linux";
import { requireToken } from "../rigs/sriov/require-token";
import { VF_TOKEN } from "../rigs/sriov/vf-token";
import { enableOneVf } from "../rigs/sriov/virtual-functions";
import type { SuiteTarget } from "../suite-target";

const OTHER_TOKEN = "e6e2d4f4-6a06-4b0a-9f3e-0a2f9b2d7f11";

/** The tokens that open the VF; `VF_TOKEN` opened the PF. */
const TOKENS = [
  { name: "same_uuid", token: VF_TOKEN },
  { name: "diff_uuid", token: OTHER_TOKEN },
  { name: "null_uuid", token: undefined },
] as const;

type Token = (typeof TOKENS)[number]["token"];

/** tools/testing/selftests/vfio/vfio_pci_sriov_uapi_test.c: who may open a VF whose PF belongs to user space. */
export function pciSriovUapiSuite(target: SuiteTarget): void {
  fixture("vfio_pci_sriov_uapi_test", target, (pf) => {
    const vf = enableOneVf(pf);

    for (const { name, token } of TOKENS) {
      eachMode(
        target,
        (mode) => {
          requireToken(mode, pf);

          // Both share one address space, as upstream has it.
          it("init_token_match", () => {
            using iommu = new Iommu(mode.open());
            iommu.openDevice(pf, { vfToken: VF_TOKEN });
            expectVfOpens(iommu, vf(), token, token === VF_TOKEN);
          });

          it("pf_early_close", () => {
            using iommu = new Iommu(mode.open());
            iommu.openDevice(pf, { vfToken: VF_TOKEN }).close();
            expectVfOpens(iommu, vf(), token, token === VF_TOKEN);
          });

          it("override_token", () => {
            using iommu = new Iommu(mode.open());
            using device = PciDevice.open(iommu, pf, { vfToken: VF_TOKEN });
            device.features.set(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, uuidBytes(OTHER_TOKEN));
            expectVfOpens(iommu, vf(), token, token === OTHER_TOKEN);
          });
        },
        name,
      );
    }
  });

  const mode = defaultMode(target);
  // The next test needs device files, which, unlike a group, let a second open get as far as the token.
  if (mode.traits.api !== "iommufd") return;
  // Queued for Linux 7.4 as a test without a fixture: the C harness calls that one `global`.
  fixture("global", target, (pf) => {
    requireMode(mode);
    requireToken(mode, pf);
    const vf = enableOneVf(pf);

    it("failed_second_open_does_not_clobber_token", () => {
      using first = new Iommu(mode.open());
      using second = new Iommu(mode.open());
      first.openDevice(pf, { vfToken: VF_TOKEN });
      const errno = hasTokenFix() ? "EBUSY" : "EINVAL";
      expect(() => second.openDevice(pf, { vfToken: OTHER_TOKEN })).toThrow(errorWithCode(errno));
      skipWithTokenBug(() => {
        using iommu = new Iommu(mode.open());
        expectVfOpens(iommu, vf(), VF_TOKEN, true);
      });
    });
  });
}

/** Whether the kernel refuses the second open before it sets the token (since Linux 7.4). */
function hasTokenFix(): boolean {
  return !isOlderThan("7.4");
}

/** Kernels before 7.4 set the PF's token before they refuse the second open: the bug that the test shows. */
function skipWithTokenBug(openVf: () => void): void {
  try {
    openVf();
  } catch (error) {
    if (hasTokenFix() || !(error instanceof VfioError) || error.code !== "EACCES") throw error;
    skip({
      reason: `Linux ${release()} has the bug that this test is for: a refused second open replaces the PF's token`,
      remedy: "use Linux 7.4 or newer, where the bug would be a failure",
    });
  }
}

function expectVfOpens(iommu: Iommu, vf: string, token: Token, opens: boolean): void {
  const open = () => PciDevice.open(iommu, vf, token === undefined ? {} : { vfToken: token });
  if (opens) expect(open().config.vendorId).toBe(readNumber(systemPaths.pciDevice(vf, "vendor")));
  else expect(open).toThrow(errorWithCode("EACCES"));
}

/** The kernel takes a UUID's bytes in the order in which they are written (uuid_t). */
function uuidBytes(uuid: string): Uint8Array {
  return Uint8Array.from(Buffer.from(uuid.replaceAll("-", ""), "hex"));
}
