import { existsSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { linkName, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedValue, skip } from "@vfio-selftests/harness";

/** Enables one VF for the tests of the enclosing block. Gives its address. `sriov_numvfs` goes back to 0 at any end. */
export function enableOneVf(pf: string): () => string {
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
