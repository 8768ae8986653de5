import { spawn } from "node:child_process";
import { Eventfd } from "@vfio-selftests/core";
import type { BenchResult } from "@vfio-selftests/harness/reports";
import { native } from "@vfio-selftests/native";
import { baselineProgram, column, runBaseline } from "../baseline";
import { distributionOf } from "../distribution";
import type { Figures } from "../figures";
import { percentile, spreadOf } from "../statistics";

const WAKEUPS = 1000;
const MAP_SHARED = 0x01;
/** The most that the median may be, as a ratio to C's poll. */
const GOAL = { kind: "ratio", limit: 2 } as const;

/** Time from just before another program's write, as in C, to the continuation of the promise. */
export async function benchEventfd(rounds: number): Promise<Figures> {
  const percentiles = { p50: [] as number[], p95: [] as number[], p99: [] as number[] };
  const events: number[] = [];
  const c = { p50: [] as number[], p95: [] as number[], p99: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const lines = runBaseline("eventfd", 1, WAKEUPS);
    c.p50.push(...column(lines, "wakeup", 1));
    c.p95.push(...column(lines, "wakeup", 2));
    c.p99.push(...column(lines, "wakeup", 3));
    const latencies = (await oneRound()).sort((a, b) => a - b);
    events.push(...latencies);
    percentiles.p50.push(percentile(latencies, 50));
    percentiles.p95.push(percentile(latencies, 95));
    percentiles.p99.push(percentile(latencies, 99));
  }
  const shape = { where: "host", name: "eventfd wake-up" } as const;
  const results = (["p50", "p95", "p99"] as const).map((name): BenchResult => ({
    ...shape,
    variant: name,
    unit: "µs",
    typescript: spreadOf(percentiles[name]),
    c: spreadOf(c[name]),
    ...(name === "p50" ? { goal: GOAL } : {}),
  }));
  return { results, distributions: [distributionOf({ ...shape, variant: "" }, events)] };
}

/** Latencies of one round, µs. */
async function oneRound(): Promise<number[]> {
  using eventfd = new Eventfd("bench");
  const length = native.pageSize();
  const file = native.memfdCreate("turn", 0);
  native.ftruncate(file, length);
  const memory = native.mapMemory({ fd: file, length, flags: MAP_SHARED });
  if (typeof memory === "number") throw new Error(`mapMemory: ${memory}`);
  // struct turn of eventfd.c
  const written = new Float64Array(memory.buffer, 0, 1);
  const taken = new Int32Array(memory.buffer, 8, 1);
  const writer = spawn(baselineProgram("eventfd"), ["write", String(WAKEUPS)], {
    stdio: ["ignore", "inherit", "inherit", eventfd.fd, file],
  });
  const latencies: number[] = [];
  try {
    for (let i = 0; i < WAKEUPS; i++) {
      await eventfd.wait({ timeoutMs: 10_000 });
      const now = process.hrtime();
      latencies.push(now[0] * 1e6 + now[1] / 1e3 - (written[0] ?? 0));
      Atomics.store(taken, 0, i + 1);
    }
  } finally {
    writer.kill();
    memory.unmap();
    native.close(file);
  }
  return latencies;
}
