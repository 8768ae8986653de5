import { machineCounters } from "./machine-counters";

/**
 * Pages of the whole machine that are pinned for devices now, whoever they count against. Only here does a page show that the kernel
 * forgot to unpin. Skips the test where the user may not make the counters exact.
 */
export function pinnedPages(): number {
  const [acquired = NaN, released = NaN] = machineCounters("nr_foll_pin_acquired", "nr_foll_pin_released");
  return acquired - released;
}
