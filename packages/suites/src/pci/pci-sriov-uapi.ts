import { existsSync } from "node:fs";
import { release } from "node:os";
import { Iommu, type IommuMode, PciDevice, VfioError } from "@vfio-selftests/core";
import { linkName, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_DEVICE_FEATURE_PCI_VF_TOKEN } from "@vfio-selftests/core/uapi";
import {
  defaultMode,
  eachMode,
  errorWithCode,
  fixture,
  GuardedValue,
  requireMode,
  skip,
} from "@vfio-selftests/harness";
import type { SuiteTarget } from "../suite-target";

const PF_TOKEN = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
const OTHER_TOKEN = "e6e2d4f4-6a06-4b0a-9f3e-0a2f9b2d7f11";

/** What the VF is opened with, while the PF was opened with `PF_TOKEN`. */
const TOKENS = [
  { name: "same_uuid", token: PF_TOKEN },
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
          it("init_token_match", () => {
            using pfIommu = new Iommu(mode.open());
            pfIommu.openDevice(pf, { vfToken: PF_TOKEN });
            expectVfOpens(mode, vf(), token, token === PF_TOKEN);
          });

          it("pf_early_close", () => {
            {
              using pfIommu = new Iommu(mode.open());
              pfIommu.openDevice(pf, { vfToken: PF_TOKEN });
            }
            expectVfOpens(mode, vf(), token, token === PF_TOKEN);
          });

          it("override_token", () => {
            using pfIommu = new Iommu(mode.open());
            using device = PciDevice.open(pfIommu, pf, { vfToken: PF_TOKEN });
            device.features.set(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, uuidBytes(OTHER_TOKEN));
            expectVfOpens(mode, vf(), token, token === OTHER_TOKEN);
          });
        },
        name,
      );
    }
  });

  const mode = defaultMode(target);
  // It needs device files, which, unlike a group, let a second open get as far as the token.
  if (mode.traits.api !== "iommufd") return;
  // Queued for Linux 7.4 as a test without a fixture: the C harness calls that one `global`.
  fixture("global", target, (pf) => {
    requireMode(mode);
    const vf = enableOneVf(pf);

    it("failed_second_open_does_not_clobber_token", () => {
      using first = new Iommu(mode.open());
      using second = new Iommu(mode.open());
      first.openDevice(pf, { vfToken: PF_TOKEN });
      // EBUSY with the fix that the test came with; EINVAL in kernels before.
      expect(() => second.openDevice(pf, { vfToken: OTHER_TOKEN })).toThrow(VfioError);
      skipWithTokenBug(() => expectVfOpens(mode, vf(), PF_TOKEN, true));
    });
  });
}

/** Kernels before 7.4 set the PF's token before they refuse the second open: what the test was written to show. */
function skipWithTokenBug(openVf: () => void): void {
  try {
    openVf();
  } catch (error) {
    const [major = 0, minor = 0] = release().split(".").map(Number);
    const fixed = major > 7 || (major === 7 && minor >= 4);
    if (fixed || !(error instanceof VfioError) || error.code !== "EACCES") throw error;
    skip({
      reason: `Linux ${release()} has the bug that this test is for: a refused second open replaces the PF's token`,
      remedy: "use Linux 7.4 or newer, where it is a failure",
    });
  }
}

function expectVfOpens(mode: IommuMode, vf: string, token: Token, opens: boolean): void {
  using iommu = new Iommu(mode.open());
  const open = () => iommu.openDevice(vf, token === undefined ? {} : { vfToken: token });
  if (opens) expect(open().closed).toBe(false);
  else expect(open).toThrow(errorWithCode("EACCES"));
}

/** One VF for the tests of the enclosing block; gives its address. `sriov_numvfs` goes back to 0 whatever happens. */
function enableOneVf(pf: string): () => string {
  let count: GuardedValue | undefined;
  beforeAll(() => {
    if (pf === "") return;
    const file = systemPaths.pciDevice(pf, "sriov_numvfs");
    if ((readNumber(systemPaths.pciDevice(pf, "sriov_totalvfs")) ?? 0) === 0) {
      skip({ reason: "the device has no virtual functions (SR-IOV)", remedy: "use an SR-IOV physical function" });
    }
    if (readNumber(file) !== 0) {
      skip({ reason: "the device has virtual functions enabled already", remedy: `echo 0 > ${file}` });
    }
    count = new GuardedValue(file);
    enable(count);
    const driver = linkName(systemPaths.pciDevice(vfAddress(pf), "driver"));
    if (driver !== "vfio-pci") {
      throw new VfioError(`the VF ${vfAddress(pf)} is bound to ${driver ?? "no driver"} instead of vfio-pci`, {
        code: "ERR_NOT_BOUND",
        operation: "enable SR-IOV",
        subject: pf,
        remedy: "let vfio-pci bind the VFs of its PFs (it does unless another driver is forced)",
      });
    }
  });
  afterAll(() => count?.[Symbol.dispose]());
  return () => vfAddress(pf);
}

/** vfio-pci refuses with ENOENT unless its parameter allows SR-IOV (vfio_pci_core_sriov_configure). */
function enable(count: GuardedValue): void {
  try {
    count.set(1);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || !existsSync(count.path)) throw error;
    skip({
      reason: "vfio-pci does not let the device enable virtual functions",
      remedy: "boot with vfio_pci.enable_sriov=1, or echo Y > /sys/module/vfio_pci/parameters/enable_sriov",
    });
  }
}

function vfAddress(pf: string): string {
  const address = linkName(systemPaths.pciDevice(pf, "virtfn0"));
  if (address === undefined) throw new Error(`${pf} has no virtfn0`);
  return address;
}

/** The kernel takes a UUID's bytes in the order in which they are written (uuid_t). */
function uuidBytes(uuid: string): Uint8Array {
  return Uint8Array.from(Buffer.from(uuid.replaceAll("-", ""), "hex"));
}
