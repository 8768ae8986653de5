import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import type { BenchResult } from "@vfio-selftests/harness/reports";
import { runBaseline } from "../baseline";
import { spreadOf } from "../statistics";

const COUNT = 5;
const GOAL = { kind: "ratio", limit: 1.05 } as const;

/** Opens address space and device, maps the BARs, and closes all again; C and TypeScript in turns. */
export function benchDeviceOpen(mode: IommuMode, address: string, rounds: number): BenchResult[] {
  const c: number[] = [];
  const typescript: number[] = [];
  for (let i = 0; i < COUNT; i++) openAndClose(mode, address);
  for (let round = 0; round < rounds; round++) {
    c.push(Number(runBaseline("vfio", mode.name, address, "open", COUNT)[0]?.[0]) / 1e6);
    const start = process.hrtime.bigint();
    for (let i = 0; i < COUNT; i++) openAndClose(mode, address);
    typescript.push(Number(process.hrtime.bigint() - start) / COUNT / 1e6);
  }
  return [
    {
      where: "lab",
      name: "device open+close",
      variant: mode.name,
      unit: "ms",
      typescript: spreadOf(typescript),
      c: spreadOf(c),
      goal: GOAL,
    },
  ];
}

function openAndClose(mode: IommuMode, address: string): void {
  using iommu = new Iommu(mode.open());
  using device = PciDevice.open(iommu, address);
  // Like the C program: map every BAR, and ask for both interrupt kinds.
  for (const bar of device.bars) if (bar.mappable) touch(bar.mappings);
  touch(device.interrupts.msi.count);
  touch(device.interrupts.msix.count);
}

/** Evaluates its argument, which asks the kernel. The answer does not matter. */
function touch(_answer: unknown): void {
  // Nothing to do.
}
