import { pollUntil } from "@vfio-selftests/core/driver";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

/** Longer than any device of the lab takes to fall asleep. */
const SUSPEND_MS = 5000;

/** The device's power as the kernel sees it: `active`, `suspended` (Documentation/ABI/testing/sysfs-devices-power). */
export function runtimeStatus(address: string): string | undefined {
  return readAttribute(systemPaths.pciDevice(address, "power", "runtime_status"))?.trim();
}

export function waitForSuspend(address: string): void {
  const isAsleep = (): boolean => runtimeStatus(address) === "suspended";
  pollUntil(isAsleep, { timeoutMs: SUSPEND_MS, what: "the device to sleep", subject: address });
}

/** Skips the test where the device always stays awake. */
export function requireMaySleep(address: string): void {
  if (readAttribute(systemPaths.pciDevice(address, "power", "control"))?.trim() === "auto") return;
  skip({ reason: "the device may not sleep", remedy: "load vfio-pci without disable_idle_d3" });
}
