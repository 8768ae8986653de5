import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { IommuMode } from "@vfio-selftests/core";
import { eachMode, fixture, GuardedValue, note, skip } from "@vfio-selftests/harness";
import { createModes } from "@vfio-selftests/iommu-modes";
import type { SuiteTarget } from "../suite-target";
import { FailingCalls } from "./failing-calls";
import { type Operation, OPERATIONS } from "./operations";

const FAIL_NTH = "/proc/thread-self/fail-nth";
const DEBUGFS = "/sys/kernel/debug";
const KMEMLEAK = `${DEBUGFS}/kmemleak`;

/** More places than any operation has: the sweep ends long before. */
const MOST_PLACES = 4000;

/**
 * A failed allocation is ENOMEM, a failed copy from or to the caller's memory EFAULT. iommufd has a place of its own,
 * `fail_iommufd`: an object that iommufd_get_object does not find is ENOENT (drivers/iommu/iommufd/selftest.c).
 */
const SENSIBLE = ["ENOMEM", "EFAULT", "ENOENT"];

/** Kinds of faults: below debugfs, with what makes them count every allocation, and print nothing. */
const KINDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  failslab: { "ignore-gfp-wait": "N", verbose: "0" },
  fail_page_alloc: { "ignore-gfp-wait": "N", "ignore-gfp-highmem": "N", "min-order": "0", verbose: "0" },
  fail_usercopy: { verbose: "0" },
  fail_iommufd: { verbose: "0" },
};

/** kmemleak reports what is unreferenced and older than this (mm/kmemleak.c, MSECS_MIN_AGE). */
const KMEMLEAK_AGE_MS = 5000;

/**
 * Each operation with the kernel failing at its first place that can fail, its second, and so on until the operation has
 * none left (Documentation/fault-injection/fault-injection.rst, "Systematic faults").
 */
export function failNthSuite(target: SuiteTarget): void {
  fixture("vfio_fail_nth", target, (address) => {
    let settings: GuardedValue[] = [];

    beforeAll(() => {
      if (!existsSync(FAIL_NTH)) return;
      for (const [kind, values] of Object.entries(KINDS)) {
        for (const [name, value] of Object.entries(values)) {
          const path = `${DEBUGFS}/${kind}/${name}`;
          if (!existsSync(path)) continue;
          const setting = new GuardedValue(path);
          settings.push(setting);
          setting.set(value);
        }
      }
    });

    beforeEach(() => {
      // Without faults in page allocations a sweep would pass over most places, and say nothing of it.
      if (existsSync(FAIL_NTH) && existsSync(`${DEBUGFS}/fail_page_alloc`)) return;
      skip({
        reason: "this kernel cannot be made to fail (CONFIG_FAULT_INJECTION, CONFIG_FAIL_PAGE_ALLOC)",
        remedy: "vfio-selftests lab setup --with fault-injection, and lab run --with fault-injection",
      });
    });

    afterAll(() => {
      for (const setting of settings.reverse()) setting[Symbol.dispose]();
      settings = [];
    });

    eachMode(target, (mode) => {
      for (const operation of OPERATIONS) {
        if (operation.only?.(mode) === false) continue;
        it(operation.name, () => sweep(mode, address, operation), 600_000);
      }
    });

    it("leaks_nothing", async () => {
      if (!existsSync(KMEMLEAK)) {
        skip({
          reason: "this kernel has no kmemleak",
          remedy: "vfio-selftests lab run --with fault-injection,kmemleak",
        });
      }
      await new Promise((resolve) => setTimeout(resolve, KMEMLEAK_AGE_MS + 1000));
      // Twice: an object whose pointer moved during the first scan is found in the second.
      for (let scan = 0; scan < 2; scan++) writeFileSync(KMEMLEAK, "scan");
      expect(readFileSync(KMEMLEAK, "latin1")).toBe("");
    }, 120_000);
  });
}

function sweep(mode: IommuMode, address: string, operation: Operation): void {
  const calls = new FailingCalls();
  const failing = createModes(calls.kernel).find(({ name }) => name === mode.name);
  if (failing === undefined) {
    skip({ reason: `mode ${mode.name} is not one of the five on a kernel`, remedy: "use --mode iommufd" });
  }
  // Once without a fault: what is opened or loaded at first use stays out of the counts.
  attempt(calls, failing, address, operation, undefined);
  const before = held();
  const refused = new Map<string, number>();
  let places = 0;
  for (let n = 1; n <= MOST_PLACES; n++) {
    const outcome = attempt(calls, failing, address, operation, n);
    expect({ n, ...held() }).toEqual({ n, ...before });
    if (outcome === undefined) break;
    places = n;
    refused.set(outcome, (refused.get(outcome) ?? 0) + 1);
  }
  expect(places).toBeGreaterThan(0);
  expect(places).toBeLessThan(MOST_PLACES);
  note(`${places} places: ${[...refused].map(([outcome, count]) => `${outcome} ${count}`).join(", ")}`);
}

/** Lets one place fail and shows that the operation works afterwards. Gives what came of it; undefined past the last place. */
function attempt(
  calls: FailingCalls,
  mode: IommuMode,
  address: string,
  operation: Operation,
  n: number | undefined,
): string | undefined {
  using prepared = operation.prepare(mode, address);
  let made: Disposable | undefined;
  const act = (): void => void (made = prepared.act());
  if (n === undefined) {
    act();
  } else {
    const { call, error } = calls.during(n, act);
    if (error !== undefined) {
      if (call === undefined) throw error;
      const { code } = error;
      expect({ n, call, code, sensible: SENSIBLE.includes(code) }).toEqual({ n, call, code, sensible: true });
      act();
      prepared.verify?.();
      made?.[Symbol.dispose]();
      return code;
    }
    if (call !== undefined) {
      // The kernel did without what it could not have.
      prepared.verify?.();
      made?.[Symbol.dispose]();
      return "none";
    }
  }
  prepared.verify?.();
  made?.[Symbol.dispose]();
  return undefined;
}

/** What this process holds of the kernel: descriptors, and memory pinned and locked, in the kernel's own figures. */
function held(): { descriptors: number; pinned: string; locked: string } {
  const status = readFileSync("/proc/self/status", "latin1");
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  return { descriptors: readdirSync("/proc/self/fd").length, pinned: field("VmPin"), locked: field("VmLck") };
}
