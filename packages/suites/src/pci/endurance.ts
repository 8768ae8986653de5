import { readdirSync } from "node:fs";
import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { eachMode, fixture, note } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

/** Repetitions over all modes; each mode takes its share. */
const DEVICE_OPENS = 200;
const ADDRESS_SPACES = 2000;
const MAP_UNMAP_PAIRS = 50_000;

/** The share of the repetitions in which the heap settles. Only growth after it counts. */
const WARM_UP = 0.3;
/** Bytes. JavaScript's collector works in steps of some megabytes, and this leaves room for one. */
const RSS_SLACK = 12 * 1024 ** 2;
const TIMEOUT_MS = 120_000;

/** Nothing leaks: the number of descriptors does not grow, nor does memory after a warm-up. */
export function enduranceSuite(target: SuiteTarget): void {
  fixture("vfio_endurance", target, (address) => {
    const share = (total: number) => Math.ceil(total / target.modes.length);
    eachMode(target, (mode) => {
      it(
        "device_opens",
        () => {
          expectNoGrowth(share(DEVICE_OPENS), () => {
            using iommu = new Iommu(mode.open());
            using device = PciDevice.open(iommu, address);
            device.bars.find(({ mappable }) => mappable)?.read32(0);
            if (device.interrupts.msix.count > 0) device.interrupts.msix.enable(0, 1);
          });
        },
        TIMEOUT_MS,
      );

      it(
        "address_spaces",
        () => {
          expectNoGrowth(share(ADDRESS_SPACES), () => {
            using _iommu = new Iommu(mode.open());
          });
        },
        TIMEOUT_MS,
      );

      it(
        "map_unmap_pairs",
        () => {
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          using memory = DmaMemory.allocate(PAGE_SIZE);
          expectNoGrowth(share(MAP_UNMAP_PAIRS), () => {
            iommu.map(memory).unmap();
          });
        },
        TIMEOUT_MS,
      );
    });
  });
}

function expectNoGrowth(repetitions: number, once: () => void): void {
  const warmUp = Math.ceil(repetitions * WARM_UP);
  const started = performance.now();
  for (let i = 0; i < warmUp; i++) once();
  const before = usage();
  for (let i = warmUp; i < repetitions; i++) once();
  const after = usage();
  const growth = (after.rss - before.rss) / 1024;
  const each = (performance.now() - started) / repetitions;
  note(
    `${repetitions} times, ${each.toFixed(2)} ms each; RSS ${growth >= 0 ? "+" : ""}${growth.toFixed(0)} KiB after warm-up`,
  );
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
  expect(after.rss - before.rss).toBeLessThan(RSS_SLACK);
}

function usage(): { rss: number; descriptors: number } {
  return { rss: process.memoryUsage.rss(), descriptors: readdirSync("/proc/self/fd").length };
}
