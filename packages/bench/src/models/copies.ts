import type { BenchResult } from "@vfio-selftests/harness/reports";
import { distributionOf } from "../distribution";
import { type Figures, joined } from "../figures";
import { percentile, spreadOf } from "../statistics";
import { MODELS, type ModelSession, withModel } from "./model-session";

const MEMORY_SIZE = 64 << 20;
const LARGE_SIZES = [1 << 20, 16 << 20] as const;
const SMALL = 4096;
const SMALL_COPIES = 5000;
/** V8 compiles what a model does once per step only after some thousand steps. */
const WARM_UP_ROUNDS = 3;
/** Bytes copied for one throughput figure. */
const VOLUME = 4 * 2 ** 30;

/** Throughput of large copies beside memcpy on the same buffers, and the time of a small one. */
export function benchCopies(rounds: number): Figures {
  const ofModels = MODELS.map(({ name, driver }) =>
    withModel(name, driver, MEMORY_SIZE, (model) => {
      const sizes = LARGE_SIZES.filter((size) => size <= model.session.limits.maxMemcpySize);
      const large = sizes.map((size) => throughput(name, model, size, rounds));
      return joined([{ results: large, distributions: [] }, smallCopy(name, model, rounds)]);
    }),
  );
  return joined(ofModels);
}

/** GB/s. The goal is a share of memcpy's. */
function throughput(name: string, { session, region }: ModelSession, size: number, rounds: number): BenchResult {
  const count = Math.min(VOLUME / size, session.limits.maxMemcpyCount);
  const bytes = region.bytes;
  const source = bytes.subarray(0, size);
  const destination = bytes.subarray(MEMORY_SIZE / 2, MEMORY_SIZE / 2 + size);
  const model: number[] = [];
  const memcpy: number[] = [];
  // The first rounds map pages and compile code, and do not count.
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    let start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) destination.set(source);
    const memcpyTime = Number(process.hrtime.bigint() - start);
    start = process.hrtime.bigint();
    session.memcpyStart(region.iova, region.iovaOf(MEMORY_SIZE / 2), size, count);
    session.memcpyWait({ timeoutMs: 60_000 });
    const modelTime = Number(process.hrtime.bigint() - start);
    if (round < 0) continue;
    memcpy.push((count * size) / memcpyTime);
    model.push((count * size) / modelTime);
  }
  return {
    where: "host",
    name: `model copies ${size >> 20} MiB (C: memcpy)`,
    variant: name,
    unit: "GB/s",
    typescript: spreadOf(model),
    c: spreadOf(memcpy),
    goal: { kind: "ratio", limit: 0.9, atLeast: true },
  };
}

function smallCopy(name: string, { session, region }: ModelSession, rounds: number): Figures {
  const p50: number[] = [];
  const p99: number[] = [];
  const events: number[] = [];
  const copy = () => {
    session.memcpyStart(region.iova, region.iovaOf(MEMORY_SIZE / 2), SMALL, 1);
    session.memcpyWait();
  };
  for (let i = 0; i < SMALL_COPIES / 10; i++) copy();
  for (let round = 0; round < rounds; round++) {
    const latencies: number[] = [];
    for (let i = 0; i < SMALL_COPIES; i++) {
      const start = process.hrtime.bigint();
      copy();
      latencies.push(Number(process.hrtime.bigint() - start) / 1000);
    }
    for (const latency of latencies) events.push(latency);
    latencies.sort((a, b) => a - b);
    p50.push(percentile(latencies, 50));
    p99.push(percentile(latencies, 99));
  }
  const shape = { where: "host", name: "model copies 4 KiB, start to end", unit: "µs" } as const;
  const results: BenchResult[] = [
    { ...shape, variant: `${name} p50`, typescript: spreadOf(p50), goal: { kind: "value", limit: 60 } },
    { ...shape, variant: `${name} p99`, typescript: spreadOf(p99) },
  ];
  return { results, distributions: [distributionOf({ ...shape, variant: name }, events)] };
}
