import type { IommuMode } from "@vfio-selftests/core";
import { iommuGroupOf } from "@vfio-selftests/core/sysfs";
import { eachMode, fixture, note } from "@vfio-selftests/harness";
import { lendSpace } from "@vfio-selftests/iommu-modes";
import type { InitTiming } from "../rigs/device/parallel-init/init-request";
import { InitThreads } from "../rigs/device/parallel-init/parallel-init";
import type { SuiteTarget } from "../suite-target";

/** tools/testing/selftests/vfio/vfio_pci_device_init_perf_test.c: opens all devices at once; no limit. */
export function pciDeviceInitPerfSuite(target: SuiteTarget): void {
  // Each test opens all devices, so nothing repeats per device.
  const together = { ...target, devices: target.devices.slice(0, 1) };
  fixture("vfio_pci_device_init_perf_test", together, () => {
    let threads: InitThreads | undefined;
    beforeAll(() => {
      threads = new InitThreads(target.devices.length);
    });
    afterAll(() => threads?.end());

    eachMode(target, (mode) => {
      it("init", async () => {
        const timings = await timeInit(threads ?? new InitThreads(0), mode, target.devices);
        expect(timings.map(({ address }) => address).sort()).toEqual([...target.devices].sort());
        for (const line of describeTimings(timings)) note(line);
      });
    });
  });
}

async function timeInit(threads: InitThreads, mode: IommuMode, devices: readonly string[]): Promise<InitTiming[]> {
  const backend = mode.open();
  try {
    using loan = lendSpace(backend);
    // A device file takes any number of threads, a group's file only one.
    const parallel = mode.traits.api === "iommufd" ? devices.map((address) => [address]) : byGroup(devices);
    return await threads.initialise(parallel, loan.space);
  } finally {
    backend.close();
  }
}

function byGroup(devices: readonly string[]): string[][] {
  const groups = new Map<number, string[]>();
  for (const address of devices) {
    const group = iommuGroupOf(address);
    groups.set(group, [...(groups.get(group) ?? []), address]);
  }
  return [...groups.values()];
}

const NANOSECONDS_PER_MS = 1e6;
const PERCENTILES = [50, 90, 99] as const;

function describeTimings(timings: readonly InitTiming[]): string[] {
  const each = timings.map(({ start, end }) => Number(end - start) / NANOSECONDS_PER_MS).sort((a, b) => a - b);
  const first = timings.reduce((least, { start }) => (start < least ? start : least), timings[0]?.start ?? 0n);
  const last = timings.reduce((most, { end }) => (end > most ? end : most), 0n);
  const sum = each.reduce((total, value) => total + value, 0);
  const percentile = (of: number) => each[Math.min(each.length - 1, Math.floor((of / 100) * each.length))] ?? 0;
  const ms = (value: number) => `${value.toFixed(3)} ms`;
  const extremes = `min ${ms(each[0] ?? 0)}, average ${ms(sum / each.length)}, max ${ms(each.at(-1) ?? 0)}`;
  const ranks = PERCENTILES.map((rank) => `p${rank} ${ms(percentile(rank))}`).join(", ");
  return [
    `${timings.length} device(s) in parallel: wall ${ms(Number(last - first) / NANOSECONDS_PER_MS)}`,
    `per device: ${extremes}, ${ranks}`,
  ];
}
