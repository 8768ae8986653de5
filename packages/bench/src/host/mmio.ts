import { IoMapping } from "@vfio-selftests/core/backend";
import { native } from "@vfio-selftests/native";
import { column, runBaseline } from "../baseline";
import type { Result } from "../result";
import { spreadOf } from "../statistics";

const MAP_SHARED = 0x01;
const MAP_ANONYMOUS = 0x20;
const C_ACCESSES = 20_000_000;
/** Short enough that most batches run without another process between. */
const ACCESSES = 20_000;
const BATCHES = 100;
/** Enough that a call site in JavaScript that met a function for each would give up telling them apart (V8: 4). */
const SEVERAL = 6;

/** What TypeScript may add to the C loop, nanoseconds. */
const GOAL = { kind: "difference", limit: 15 } as const;

type Operation = "read32" | "write32" | "read64";
type Loop = (accesses: number) => void;

/** The cost of a register access, on plain memory so that it is software alone: one BAR, and several in turns. */
export function benchMmio(rounds: number): Result[] {
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
    // A 64-bit value costs a BigInt; the goal speaks of 32 bits.
    ...(operation === "read64" ? {} : { goal: GOAL }),
  }));
}

/** Of the median batch. */
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
 * One call site each, for these BARs in turns. Compiled anew for every variant, since a call site remembers what it met.
 * What is read is used, if only in an impossible case: a result that nobody uses may be dropped with its read.
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
