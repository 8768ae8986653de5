import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const SETTLE_MS = 2000;

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/**
 * Waits until so many are open, because another thread closes its files in its own time. Throws if that never comes.
 */
export async function descriptorsAre(expected: number): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const open = openDescriptors();
    if (open === expected) return;
    if (performance.now() > deadline) throw new Error(`${open} descriptors are open, ${expected} were before`);
    await sleep(5);
  }
}
