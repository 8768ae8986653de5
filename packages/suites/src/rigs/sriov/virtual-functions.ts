import { existsSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { linkName, readAttribute, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedValue, skip } from "@vfio-selftests/harness";

/** Enables one VF for the tests of the enclosing block. Gives its address. `sriov_numvfs` goes back to 0 at any end. */
export function enableOneVf(pf: string): () => string {
  let count: GuardedValue | undefined;
  beforeAll(() => {
    if (pf !== "") count = enableVfs(pf, 1);
  });
  afterAll(() => count?.[Symbol.dispose]());
  return () => vfAddress(pf);
}

/**
 * Enables VFs, all bound to vfio-pci. `sriov_numvfs` goes back to 0 when the result is disposed of. Close the VFs before,
 * because the kernel waits for that. It skips the test where the device or the kernel offers none.
 */
export function enableVfs(pf: string, wanted: number): GuardedValue {
  const file = systemPaths.pciDevice(pf, "sriov_numvfs");
  if ((readNumber(systemPaths.pciDevice(pf, "sriov_totalvfs")) ?? 0) < wanted) {
    const reason =
      wanted === 1 ? "the device has no virtual functions (SR-IOV)" : `the device has no ${wanted} virtual functions`;
    skip({ reason, remedy: "use an SR-IOV physical function: QEMU's igb" });
  }
  if (readNumber(file) !== 0) {
    skip({ reason: "the device has virtual functions enabled already", remedy: `echo 0 > ${file}` });
  }
  const count = new GuardedValue(file);
  try {
    enable(count, wanted);
    for (let number = 0; number < wanted; number++) requireBound(pf, number);
  } catch (error) {
    count[Symbol.dispose]();
    throw error;
  }
  return count;
}

export function vfAddress(pf: string, number = 0): string {
  const address = linkName(systemPaths.pciDevice(pf, `virtfn${number}`));
  if (address === undefined) throw new Error(`${pf} has no virtfn${number}`);
  return address;
}

function requireBound(pf: string, number: number): void {
  const vf = vfAddress(pf, number);
  const driver = linkName(systemPaths.pciDevice(vf, "driver"));
  if (driver === "vfio-pci") return;
  throw new VfioError(`the VF ${vf} is bound to ${driver ?? "no driver"} instead of vfio-pci`, {
    code: "ERR_NOT_BOUND",
    operation: "enable SR-IOV",
    subject: pf,
    remedy: "let vfio-pci bind the VFs of its PFs (it does unless another driver is forced)",
  });
}

/** vfio-pci refuses with ENOENT unless its parameter allows SR-IOV (vfio_pci_sriov_configure). */
function enable(count: GuardedValue, wanted: number): void {
  try {
    count.set(wanted);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || !existsSync(count.path)) throw error;
    // A kernel that refuses what its parameter allows is broken.
    if (readAttribute(systemPaths.sys("module", "vfio_pci", "parameters", "enable_sriov"))?.trim() === "Y") throw error;
    skip({
      reason: "vfio-pci does not let the device enable virtual functions",
      remedy: "boot with vfio_pci.enable_sriov=1, or echo Y > /sys/module/vfio_pci/parameters/enable_sriov",
    });
  }
}
