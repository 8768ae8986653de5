import { readFileSync } from "node:fs";
import { sleepSync } from "@vfio-selftests/core/driver";
import { existsPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { machineCounters } from "./machine-counters";
import { PAGE_SIZE } from "./page-size";

/** Cycles of a round, unless the test says otherwise, and the share of them that fills caches before the first round. */
const CYCLES = 500;
const WARM_UP = 0.25;
/** What the machine does beside the test can make one round grow. What leaks grows in each. */
const ROUNDS = 3;
/** Milliseconds after which the kernel has freed what it frees later: kvfree_rcu waits 5 s (KFREE_DRAIN_JIFFIES, mm/slab_common.c). */
const LATER_MS = [100, 1000, 6000];

/**
 * What the kernel holds, and what counts as growth. `piece`: the least that one cycle can leave behind. `noise`: what a machine
 * that does little else gains at times.
 */
const GAUGES = {
  "bytes of its objects": { piece: 32, noise: 4 * PAGE_SIZE },
  "pages of page tables for devices": { piece: 1, noise: 8 },
  "other pages": { piece: 1, noise: 512 },
  "pinned pages": { piece: 1, noise: 8 },
  // The kernel's sum lacks what each processor has not told yet (fs/file_table.c, get_nr_files).
  "open files": { piece: 1, noise: 128 },
} as const;

type Gauge = keyof typeof GAUGES;

/**
 * Repeats what ends as it began, and fails when the kernel holds more each time: objects, pages, pins or files. With 500 cycles
 * some 32 bytes of each show; with fewer, more. Skips where the kernel keeps freed memory for a while on purpose.
 */
export function expectNothingKept(once: () => void, cycles = CYCLES): void {
  skipWhereFreedMemoryStays();
  for (let cycle = 0; cycle < WARM_UP * cycles; cycle++) once();
  let kept: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = held();
    for (let cycle = 0; cycle < cycles; cycle++) once();
    kept = growth(before, cycles);
    for (const ms of LATER_MS) {
      if (kept.length === 0) return;
      sleepSync(ms);
      kept = growth(before, cycles);
    }
    if (kept.length === 0) return;
  }
  expect(kept).toEqual([]);
}

/** kmemleak keeps a record of each object for a while, KASAN the object itself in a quarantine (mm/kasan/quarantine.c). */
function skipWhereFreedMemoryStays(): void {
  const what = existsPath(systemPaths.sys("kernel", "debug", "kmemleak"))
    ? "kmemleak"
    : hasKasan()
      ? "KASAN"
      : undefined;
  if (what === undefined) return;
  skip({
    reason: `${what} keeps what the kernel frees for a while`,
    remedy: `use a kernel without ${what}, which itself reports what it finds`,
  });
}

let kasan: boolean | undefined;

/** Whether the kernel has the quarantine's code. Megabytes of symbols are read once. */
function hasKasan(): boolean {
  kasan ??= readAttribute(systemPaths.proc("kallsyms"))?.includes(" kasan_quarantine_put\n") === true;
  return kasan;
}

function growth(before: Readonly<Record<Gauge, number>>, cycles: number): string[] {
  const now = held();
  return (Object.keys(GAUGES) as Gauge[]).flatMap((gauge) => {
    const grown = now[gauge] - before[gauge];
    return grown < leastLeak(gauge, cycles) ? [] : [`${grown} ${gauge} more after ${cycles} times`];
  });
}

/** Growth that is a leak: three quarters of a piece for each cycle, because the machine may give back others meanwhile. */
function leastLeak(gauge: Gauge, cycles: number): number {
  const { piece, noise } = GAUGES[gauge];
  return Math.max(noise, 0.75 * piece * cycles);
}

/** Pages that nothing else of /proc/vmstat explains are the kernel's own. */
const EXPLAINED = [
  "nr_free_pages",
  "nr_inactive_anon",
  "nr_active_anon",
  "nr_inactive_file",
  "nr_active_file",
  "nr_unevictable",
  "nr_slab_reclaimable",
  "nr_slab_unreclaimable",
  "nr_page_table_pages",
  "nr_sec_page_table_pages",
] as const;

function held(): Record<Gauge, number> {
  const [slab = NaN, acquired = NaN, released = NaN, ...explained] = machineCounters(
    "nr_slab_unreclaimable",
    "nr_foll_pin_acquired",
    "nr_foll_pin_released",
    ...EXPLAINED,
  );
  const total = explained.reduce((sum, pages) => sum + pages, 0);
  return {
    "bytes of its objects": slab * PAGE_SIZE,
    "pages of page tables for devices": explained.at(-1) ?? NaN,
    // All pages together stay the same, so that the difference of two readings needs no total.
    "other pages": -total,
    "pinned pages": acquired - released,
    "open files": Number(readFileSync(systemPaths.proc("sys", "fs", "file-nr"), "latin1").split("\t", 1)[0]),
  };
}
