import { DmaMemory, Iommu, type IommuMode } from "@vfio-selftests/core";
import type { BenchResult, Goal } from "@vfio-selftests/harness/reports";
import { runBaseline } from "../baseline";
import { spreadOf } from "../statistics";

const IOVA = 0x1_0000_0000n;
const SIZES: readonly { name: string; bytes: number; count: number; goal?: Goal }[] = [
  { name: "map+unmap 4 KiB", bytes: 4096, count: 10_000, goal: { kind: "ratio", limit: 1.1 } },
  { name: "map+unmap 2 MiB", bytes: 2 * 1024 * 1024, count: 100 },
];

/** One map and one unmap at a fixed IOVA with the device attached; C and TypeScript in turns. */
export function benchMapUnmap(mode: IommuMode, address: string, rounds: number): BenchResult[] {
  return SIZES.map(({ name, bytes, count, goal }) => {
    const c: number[] = [];
    const typescript: number[] = [];
    for (let round = 0; round < rounds; round++) {
      c.push(Number(runBaseline("vfio", mode.name, address, "map", bytes, count)[0]?.[0]) / 1000);
      typescript.push(oneRound(mode, address, bytes, count) / 1000);
    }
    return {
      where: "lab",
      name,
      variant: mode.name,
      unit: "µs",
      typescript: spreadOf(typescript),
      c: spreadOf(c),
      ...(goal === undefined ? {} : { goal }),
    };
  });
}

/** Nanoseconds per pair. */
function oneRound(mode: IommuMode, address: string, bytes: number, count: number): number {
  using iommu = new Iommu(mode.open());
  using _device = iommu.openDevice(address);
  using memory = DmaMemory.allocate(bytes, { alignment: bytes });
  new Uint8Array(memory.buffer).fill(1);
  const options = { iova: IOVA };
  const pairs = (n: number) => {
    for (let i = 0; i < n; i++) iommu.unmap(iommu.map(memory, options));
  };
  // Long enough for the JIT to finish. Under emulation its compiler threads are slow, too.
  pairs(2 * count);
  const start = process.hrtime.bigint();
  pairs(count);
  return Number(process.hrtime.bigint() - start) / count;
}
