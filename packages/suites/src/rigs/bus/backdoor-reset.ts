import { setTimeout as delay } from "node:timers/promises";
import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";
import { PhysicalConfig } from "../config-space/physical-config";
import { bridgesAbove } from "./upstream-bridge";

/** The bridge control register, and its bit that resets the bus behind the bridge (PCI-to-PCI Bridge 1.2, 3.2.5.18). */
const BRIDGE_CONTROL = 0x3e;
const SECONDARY_BUS_RESET = 1 << 6;
/** PCI: at least 1 ms of reset (T_rst). PCI Express Base, 6.6.1: 100 ms until the first request. */
const RESET_MS = 2;
const RECOVERY_MS = 100;

/**
 * Resets the bus of a device past the kernel, which neither saves nor restores anything. Skips the test outside the lab,
 * and for a device of the root bus.
 */
export async function resetBusPastKernel(target: SuiteTarget, address: string): Promise<void> {
  const [bridge] = bridgesAbove(address);
  if (target.kind !== "lab" || bridge === undefined) {
    skip({
      reason: "the test resets the device's bus past the kernel",
      remedy: "run it in the lab with a device behind a port: vfio-selftests lab run --device igb",
    });
  }
  using config = new PhysicalConfig(bridge);
  const control = config.read16(BRIDGE_CONTROL);
  config.write16(BRIDGE_CONTROL, control | SECONDARY_BUS_RESET);
  await delay(RESET_MS);
  config.write16(BRIDGE_CONTROL, control);
  await delay(RECOVERY_MS);
}
