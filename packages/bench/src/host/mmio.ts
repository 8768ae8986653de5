import { IoMapping } from "@vfio-selftests/core/backend";
import { native } from "@vfio-selftests/native";
import { column, runBaseline } from "../baseline";
import type { Result } from "../result";
import { spreadOf } from "../statistics";

const MAP_SHARED = 0x01;
const MAP_ANONYMOUS = 0x20;
const C_ACCESSES = 20_000_000;
const ACCESSES = 2_000_000;

/** What TypeScript may add to the C loop, nanoseconds. */
const GOAL = { kind: "difference", limit: 20 } as const;

/** The cost of a register access, on plain memory so that it is software alone. */
export function benchMmio(rounds: number): Result[] {
  const io = native.mapIo({ fd: -1, length: native.pageSize(), flags: MAP_SHARED | MAP_ANONYMOUS });
  if (typeof io === "number") throw new Error(`mapIo: ${io}`);
  using mapping = new IoMapping(io, "a page of memory");
  // What is read is used, if only in an impossible case: a result that nobody uses may be dropped with its read.
  const loops: Record<string, (accesses: number) => void> = {
    read32: (accesses) => {
      let sum = 0;
      for (let i = 0; i < accesses; i++) sum = (sum + mapping.read32(16)) | 0;
      if (sum === -1) process.stderr.write("");
    },
    write32: (accesses) => {
      for (let i = 0; i < accesses; i++) mapping.write32(16, i);
    },
    read64: (accesses) => {
      let last = 0n;
      for (let i = 0; i < accesses; i++) last = mapping.read64(32);
      if (last === -1n) process.stderr.write("");
    },
  };
  const typescript: Record<string, number[]> = { read32: [], write32: [], read64: [] };
  const c: Record<string, number[]> = { read32: [], write32: [], read64: [] };
  for (const loop of Object.values(loops)) loop(ACCESSES / 10);
  for (let round = 0; round < rounds; round++) {
    const lines = runBaseline("mmio", 1, C_ACCESSES);
    for (const [name, loop] of Object.entries(loops)) {
      c[name]?.push(...column(lines, name));
      const start = process.hrtime.bigint();
      loop(ACCESSES);
      typescript[name]?.push(Number(process.hrtime.bigint() - start) / ACCESSES);
    }
  }
  return Object.keys(loops).map((name) => ({
    where: "host",
    name: `BAR ${name}`,
    variant: "plain memory",
    unit: "ns",
    typescript: spreadOf(typescript[name] ?? []),
    c: spreadOf(c[name] ?? []),
    // A 64-bit value costs a BigInt; the goal speaks of 32 bits.
    ...(name === "read64" ? {} : { goal: GOAL }),
  }));
}
