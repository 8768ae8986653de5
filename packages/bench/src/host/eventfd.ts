import { Eventfd } from "@vfio-selftests/core";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { column, runBaseline } from "../baseline";
import type { Result } from "../result";
import { percentile, spreadOf } from "../statistics";

const WAKEUPS = 1000;
/** Microseconds at the median. */
const GOAL = { kind: "value", limit: 15 } as const;

/** From just before another thread's write to the continuation of the promise. */
export async function benchEventfd(rounds: number): Promise<Result[]> {
  const percentiles = { p50: [] as number[], p95: [] as number[], p99: [] as number[] };
  const c = { p50: [] as number[], p95: [] as number[], p99: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const lines = runBaseline("eventfd", 1, WAKEUPS);
    c.p50.push(...column(lines, "wakeup", 1));
    c.p95.push(...column(lines, "wakeup", 2));
    c.p99.push(...column(lines, "wakeup", 3));
    const latencies = (await oneRound()).sort((a, b) => a - b);
    percentiles.p50.push(percentile(latencies, 50));
    percentiles.p95.push(percentile(latencies, 95));
    percentiles.p99.push(percentile(latencies, 99));
  }
  return (["p50", "p95", "p99"] as const).map((name) => ({
    where: "host",
    name: "eventfd wake-up",
    variant: name,
    unit: "µs",
    typescript: spreadOf(percentiles[name]),
    c: spreadOf(c[name]),
    ...(name === "p50" ? { goal: GOAL } : {}),
  }));
}

/** Latencies of one round, µs. */
async function oneRound(): Promise<number[]> {
  using eventfd = new Eventfd("bench");
  const shared = new SharedArrayBuffer(16);
  const written = new BigUint64Array(shared, 0, 1);
  const taken = new Int32Array(shared, 8, 1);
  const worker = new Worker(join(__dirname, "eventfd-writer.js"), {
    workerData: { fd: eventfd.fd, shared, wakeups: WAKEUPS },
  });
  const latencies: number[] = [];
  try {
    for (let i = 0; i < WAKEUPS; i++) {
      await eventfd.wait({ timeoutMs: 10_000 });
      const now = process.hrtime.bigint();
      latencies.push(Number(now - (written[0] ?? now)) / 1000);
      Atomics.store(taken, 0, i + 1);
      Atomics.notify(taken, 0);
    }
  } finally {
    await worker.terminate();
  }
  return latencies;
}
