import { IoMapping } from "@vfio-selftests/core/backend";
import type { BenchResult } from "@vfio-selftests/harness/reports";
import { native } from "@vfio-selftests/native";
import { column, runBaseline } from "../baseline";
import { spreadOf } from "../statistics";

const MAP_SHARED = 0x01;
const MAP_ANONYMOUS = 0x20;
const C_ACCESSES = 20_000_000;
/** Few enough that most batches run without an interruption by another process. */
const ACCESSES = 20_000;
const BATCHES = 100;
/** Enough that V8 would stop telling apart the functions that one call site meets (its limit is 4). */
const SEVERAL = 6;

/** The most that TypeScript may add to the C loop, in nanoseconds. */
const GOAL = { kind: "difference", limit: 15 } as const;

type Operation = "read32" | "write32" | "read64";
type Loop = (accesses: number) => void;

/**
 * The cost of a register access, with one BAR and with several in turns. Plain memory leaves only the software's cost.
 */
export function benchMmio(rounds: number): BenchResult[] {
  const bars = Array.from({ length: SEVERAL }, openBar);
  const variants = { "one BAR": accessLoops(bars.slice(0, 1)), [`${SEVERAL} BARs`]: accessLoops(bars) };
  const cases = Object.entries(variants).flatMap(([variant, loops]) =>
    (Object.keys(loops) as Operation[]).map((operation) => {
      const samples: { typescript: number[]; c: number[] } = { typescript: [], c: [] };
      return { variant, operation, loop: loops[operation], ...samples };
    }),
  );
  for (const { loop } of cases) for (let batch = 0; batch < BATCHES; batch++) loop(ACCESSES);
  for (let round = 0; round < rounds; round++) {
    const lines = runBaseline("mmio", 1, C_ACCESSES);
    for (const { operation, loop, typescript, c } of cases) {
      c.push(...column(lines, operation));
      typescript.push(nanosecondsPerAccess(loop));
    }
  }
  for (const bar of bars) bar.close();
  return cases.map(({ variant, operation, typescript, c }) => ({
    where: "host",
    name: `BAR ${operation}`,
    variant,
    unit: "ns",
    typescript: spreadOf(typescript),
    c: spreadOf(c),
    // A 64-bit value costs a BigInt. The goal concerns 32 bits.
    ...(operation === "read64" ? {} : { goal: GOAL }),
  }));
}

/** The median batch's figure. */
function nanosecondsPerAccess(loop: Loop): number {
  const batches = Array.from({ length: BATCHES }, () => {
    const start = process.hrtime.bigint();
    loop(ACCESSES);
    return Number(process.hrtime.bigint() - start) / ACCESSES;
  });
  return spreadOf(batches).median;
}

function openBar(): IoMapping {
  const io = native.mapIo({ fd: -1, length: native.pageSize(), flags: MAP_SHARED | MAP_ANONYMOUS });
  if (typeof io === "number") throw new Error(`mapIo: ${io}`);
  return new IoMapping(io, "a page of memory");
}

/**
 * One call site for each operation, which meets these BARs in turns. Every variant compiles it anew, because a call
 * site remembers what it met. The loop uses what it reads, if only in an impossible case: otherwise the engine may drop
 * the read.
 */
function accessLoops(bars: readonly IoMapping[]): Record<Operation, Loop> {
  return {
    read32: compiled(bars, "sum = (sum + bar.read32(16)) | 0"),
    write32: compiled(bars, "bar.write32(16, i)"),
    read64: compiled(bars, "last = bar.read64(32)"),
  };
}

function compiled(bars: readonly IoMapping[], access: string): Loop {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the same code, without what its call sites have seen
  const make = new Function(
    "bars",
    `return (accesses) => {
      let sum = 0, last = 0n;
      for (let i = 0, turn = 0; i < accesses; i++) {
        const bar = bars[turn];
        ${access};
        if (++turn === bars.length) turn = 0;
      }
      if (sum === -1 || last === -1n) process.stderr.write("");
    }`,
  ) as (bars: readonly IoMapping[]) => Loop;
  return make(bars);
}
