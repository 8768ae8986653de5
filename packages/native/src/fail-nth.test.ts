import { existsSync } from "node:fs";
import { native } from "./index";
import * as linux from "./testing/linux";

const here = existsSync("/proc/thread-self/fail-nth");

describe("failNth", () => {
  it("takes a count, a function, and few arguments", () => {
    for (const n of [0, -1, 1.5, 2 ** 20 + 1])
      expect(() => native.failNth(n, native.gettid)).toThrow("allowed is an integer");
    expect(() => native.failNth("1" as unknown as number, native.gettid)).toThrow("allowed is an integer");
    expect(() => native.failNth(1, 5 as unknown as () => number)).toThrow("function is 5");
    const many = native.failNth as unknown as (...args: unknown[]) => unknown;
    expect(() => many(1, native.gettid, ...Array.from({ length: 17 }, () => 0))).toThrow("at most 16 arguments");
  });

  (here ? it.skip : it)("tells that this kernel injects no faults, and calls nothing", () => {
    const call = jest.fn(() => 0);
    expect(native.failNth(1, call)).toBe(-linux.ENOENT);
    expect(call).not.toHaveBeenCalled();
  });

  const title =
    "fails the n-th place (skipped: this kernel injects no faults; run it in the lab, --with fault-injection)";
  (here ? it : it.skip)(title, () => {
    const fd = native.memfdCreate("fail-nth", 0);
    const bytes = new Uint8Array(8);
    // pread copies to user memory: at least one place.
    const results = Array.from({ length: 64 }, (_, n) => native.failNth(n + 1, native.pread, fd, bytes, 0));
    expect(results.every((result) => typeof result !== "number")).toBe(true);
    const pairs = results as [number, number][];
    expect(pairs.at(-1)![1]).toBeGreaterThan(0);
    // The thread is as before.
    expect(native.pread(fd, bytes, 0)).toBe(0);
    expect(native.close(fd)).toBe(0);
  });
});
