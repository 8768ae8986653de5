import type { BenchResult } from "@vfio-selftests/harness/reports";
import { column, runBaseline } from "../baseline";
import { distributionOf } from "../distribution";
import { type Figures, joined } from "../figures";
import { percentile, spreadOf } from "../statistics";
import { MODELS, withModel } from "./model-session";

const REQUESTS = 20_000;
/** Microseconds that client and server spin before they block, here and in the C pair, which yields at each look. */
const SPIN_US = 50;
/** BAR 0 offset 8: VER of IOAT, reserved in DSA. Reading it has no side effects. */
const REGISTER = 0x8;

/** One register read: a message to the model's thread and back. */
export function benchRoundTrip(rounds: number): Figures {
  const ofModels = MODELS.map(({ name, driver }): Figures => {
    const events: number[] = [];
    const typescript = { p50: [] as number[], p99: [] as number[] };
    const c = { p50: [] as number[], p99: [] as number[] };
    withModel(name, driver, 1 << 20, ({ device }) => {
      const bar = device.bars[0];
      if (bar === undefined) throw new Error(`model ${name} has no BAR 0`);
      for (let i = 0; i < REQUESTS; i++) bar.read32(REGISTER);
      for (let round = 0; round < rounds; round++) {
        const lines = runBaseline("round_trip", 1, REQUESTS, SPIN_US);
        c.p50.push(...column(lines, "round-trip", 1));
        c.p99.push(...column(lines, "round-trip", 3));
        const latencies: number[] = [];
        for (let i = 0; i < REQUESTS; i++) {
          const start = process.hrtime.bigint();
          bar.read32(REGISTER);
          latencies.push(Number(process.hrtime.bigint() - start) / 1000);
        }
        for (const latency of latencies) events.push(latency);
        latencies.sort((a, b) => a - b);
        typescript.p50.push(percentile(latencies, 50));
        typescript.p99.push(percentile(latencies, 99));
      }
    });
    const shape = { where: "host", name: "register read round trip" } as const;
    const result = (rank: "p50" | "p99", goal: BenchResult["goal"]): BenchResult => ({
      ...shape,
      variant: `${name} ${rank}`,
      unit: "µs",
      typescript: spreadOf(typescript[rank]),
      c: spreadOf(c[rank]),
      ...(goal === undefined ? {} : { goal }),
    });
    const results = [
      result("p50", { kind: "value", limit: 10 }),
      { ...result("p50", { kind: "ratio", limit: 1 }), name: "  beside C that spins, too" },
      result("p99", undefined),
    ];
    return { results, distributions: [distributionOf({ ...shape, variant: name }, events)] };
  });
  return joined(ofModels);
}
