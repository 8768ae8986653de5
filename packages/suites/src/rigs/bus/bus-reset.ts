import { type HotResetInfo, type PciDevice, VfioError } from "@vfio-selftests/core";
import { skip } from "@vfio-selftests/harness";

/** What a reset of the device's bus affects. Skips the test where the bus cannot be reset. */
export function busResetInfo(device: PciDevice): HotResetInfo {
  try {
    return device.hotResetInfo();
  } catch (error) {
    if (!(error instanceof VfioError) || error.code !== "ENODEV") throw error;
    skip({
      reason: `the bus of ${device.address} cannot be reset (it is the root bus)`,
      remedy: "use a device behind a root port or bridge: vfio-selftests lab run --device igb",
    });
  }
}

/** Resets the device's bus. `owned`: one open device of each affected group. */
export function resetBus(device: PciDevice, owned: readonly PciDevice[]): void {
  try {
    device.hotReset(owned);
  } catch (error) {
    if (!(error instanceof VfioError) || error.code !== "ENOTTY") throw error;
    // QEMU's root port does not set "Data Link Layer Link Active" again, and Linux gives up (pcie_wait_for_link).
    skip({
      reason: `the kernel reset the bus of ${device.address} but did not see the link come up again`,
      remedy: "use a device behind a conventional bridge: vfio-selftests lab run --device edu-group",
    });
  }
}
