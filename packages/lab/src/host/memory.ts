import { readFileSync } from "node:fs";
import { type LabHost, systemPath } from "./host";

/**
 * MiB that programs can still take without swapping, as the kernel estimates it (`MemAvailable`); 0 where it gives no
 * estimate.
 */
export function availableMiB(host: LabHost): number {
  try {
    const text = readFileSync(systemPath(host, "/proc/meminfo"), "utf8");
    return Math.floor(Number(/^MemAvailable:\s*(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}
