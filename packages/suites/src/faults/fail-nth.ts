import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import {
  defaultMode,
  eachMode,
  fixture,
  GuardedValue,
  knownKernelDefect,
  notChecked,
  note,
  requireMode,
  skip,
} from "@vfio-selftests/harness";
import { createModes } from "@vfio-selftests/iommu-modes";
import { withBareVm } from "../rigs/interrupts/kvm-irq/with-bare-vm";
import { enableOneVf } from "../rigs/sriov/virtual-functions";
import type { SuiteTarget } from "../suite-target";
import { acpiInterpreter } from "./acpi-interpreter";
import { DEVICE_OPERATIONS } from "./device-operations";
import { FailingCalls } from "./failing-calls";
import { IOMMUFD_OPERATIONS } from "./iommufd-operations";
import { KVM_OPERATIONS } from "./kvm-operations";
import { MACHINE_OPERATIONS } from "./machine-operations";
import type { Operation } from "./operation";
import { OPERATIONS } from "./operations";

const FAIL_NTH = "/proc/thread-self/fail-nth";
const DEBUGFS = "/sys/kernel/debug";
const KMEMLEAK = `${DEBUGFS}/kmemleak`;

/** Milliseconds of a sweep on hardware; the lab gives more. */
const LIMIT_MS = 120_000;
const TOKEN = "c3b1f7a0-5f0e-4f57-9a3a-2a4be5c6f0d1";

/** More places than any operation has: the sweep ends long before. */
const MOST_PLACES = 4000;

/**
 * A failed allocation is ENOMEM, a failed copy from or to the caller's memory EFAULT. iommufd has a place of its own,
 * `fail_iommufd`: iommufd_get_object then finds no object, which is ENOENT (drivers/iommu/iommufd/selftest.c).
 */
const SENSIBLE = ["ENOMEM", "EFAULT", "ENOENT"];

/**
 * Allocations that do not fail: without memory ACPI's interpreter frees objects that it still uses, and every device that is
 * opened afterwards meets them.
 */
const SPARED = {
  what: "allocations of ACPI's interpreter",
  why: "docs/kernel-findings/acpi-out-of-memory-while-opening.md",
};
/** The kinds that have places in the interpreter. */
const OF_MEMORY = ["failslab", "fail_page_alloc"];

/** Kinds of faults, by their folder in debugfs, and the settings that make each count every place and print nothing. */
const KINDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  failslab: { "ignore-gfp-wait": "N", verbose: "0" },
  fail_page_alloc: { "ignore-gfp-wait": "N", "ignore-gfp-highmem": "N", "min-order": "0", verbose: "0" },
  fail_usercopy: { verbose: "0" },
  fail_iommufd: { verbose: "0" },
};

/** kmemleak reports what is unreferenced and older than this (mm/kmemleak.c, MSECS_MIN_AGE). */
const KMEMLEAK_AGE_MS = 5000;

/**
 * Runs each operation while the kernel fails at the first place that can fail, then at the second, and so on until the
 * operation has none left (Documentation/fault-injection/fault-injection.rst, "Systematic faults").
 */
export function failNthSuite(target: SuiteTarget): void {
  fixture("vfio_fail_nth", target, (address) => {
    let settings: GuardedValue[] = [];
    let sparing = false;

    const set = (path: string, value: string): void => {
      if (!existsSync(path)) return;
      const setting = new GuardedValue(path);
      settings.push(setting);
      setting.set(value);
    };

    beforeAll(() => {
      if (!canFail()) return;
      for (const [kind, values] of Object.entries(KINDS)) {
        for (const [name, value] of Object.entries(values)) set(`${DEBUGFS}/${kind}/${name}`, value);
      }
      const interpreter = acpiInterpreter();
      if (interpreter === undefined) return;
      sparing = true;
      for (const kind of OF_MEMORY) {
        set(`${DEBUGFS}/${kind}/reject-start`, hex(interpreter.start));
        set(`${DEBUGFS}/${kind}/reject-end`, hex(interpreter.end));
      }
    });

    beforeEach(() => {
      // Without faults in page allocations a sweep would pass over most places, and say nothing of it.
      if (!canFail()) {
        skip({
          reason:
            "this kernel cannot be made to fail (CONFIG_FAULT_INJECTION_STACKTRACE_FILTER, CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC)",
          remedy: "vfio-selftests lab setup --with fault-injection, and lab run --with fault-injection",
        });
      }
      if (sparing) notChecked(SPARED.what, SPARED.why);
    });

    afterAll(() => {
      for (const setting of settings.reverse()) setting[Symbol.dispose]();
      settings = [];
    });

    const test = (mode: IommuMode, operation: Operation): void =>
      it(operation.name, () => sweep(mode, address, operation), LIMIT_MS);

    eachMode(target, (mode) => {
      for (const operation of [...OPERATIONS, ...DEVICE_OPERATIONS, ...IOMMUFD_OPERATIONS]) {
        if (operation.only?.(mode) !== false) test(mode, operation);
      }
    });

    describe("virtual_function", () => {
      const vf = enableOneVf(canFail() ? address : "");

      eachMode(target, (mode) => {
        test(mode, {
          name: "opening_by_its_token",
          prepare: (failing) => {
            const iommu = new Iommu(failing.open());
            iommu.openDevice(address, { vfToken: TOKEN });
            return {
              act: () => PciDevice.open(iommu, vf(), { vfToken: TOKEN }),
              [Symbol.dispose]: () => iommu.close(),
            };
          },
        });
      });
    });

    describe("kvm", () => {
      for (const operation of KVM_OPERATIONS) {
        it(
          operation.name,
          () =>
            withBareVm(target, (vm) =>
              sweep(defaultMode(target), address, { ...operation, prepare: operation.prepareOn(vm) }),
            ),
          LIMIT_MS,
        );
      }
    });

    describe("machine", () => {
      const mode = defaultMode(target);
      requireMode(mode);
      for (const operation of MACHINE_OPERATIONS) test(mode, operation);
    });

    it("leaks_nothing", async () => {
      if (!existsSync(KMEMLEAK)) {
        skip({
          reason: "this kernel has no kmemleak",
          remedy: "vfio-selftests lab run --with fault-injection,kmemleak",
        });
      }
      await new Promise((resolve) => setTimeout(resolve, KMEMLEAK_AGE_MS + 1000));
      // Twice: a scan does not report objects that are new or changed since the scan before it (kmemleak_scan).
      for (let scan = 0; scan < 2; scan++) writeFileSync(KMEMLEAK, "scan");
      expect(readFileSync(KMEMLEAK, "latin1")).toBe("");
    }, 120_000);
  });
}

/** Whether this kernel fails on demand, memory first of all, except where it is told not to. */
function canFail(): boolean {
  return existsSync(FAIL_NTH) && OF_MEMORY.every((kind) => existsSync(`${DEBUGFS}/${kind}/reject-start`));
}

function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}

function sweep(mode: IommuMode, address: string, operation: Operation): void {
  const calls = new FailingCalls();
  const failing = createModes(calls.kernel).find(({ name }) => name === mode.name);
  if (failing === undefined) {
    skip({ reason: `mode ${mode.name} is not one of the five on a kernel`, remedy: "use --mode iommufd" });
  }
  if (operation.defect !== undefined) knownKernelDefect(operation.defect.pattern, operation.defect.finding);
  // The first attempt has no fault, and keeps what is opened or loaded at first use out of the counts.
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
  if (operation.mayHaveNoPlace?.(mode) !== true) expect(places).toBeGreaterThan(0);
  expect(places).toBeLessThan(MOST_PLACES);
  note(`${places} places: ${[...refused].map(([outcome, count]) => `${outcome} ${count}`).join(", ")}`);
}

/** Lets one place fail and shows that the operation works afterwards. Returns the outcome; undefined: no such place. */
function attempt(
  calls: FailingCalls,
  mode: IommuMode,
  address: string,
  operation: Operation,
  n: number | undefined,
): string | undefined {
  using prepared = operation.prepare(mode, address, calls);
  let made: Disposable | undefined;
  const act = (): void => void (made = prepared.act());
  if (n === undefined) {
    act();
  } else {
    const { call, error } = calls.during(n, act);
    if (error !== undefined) {
      if (call === undefined) throw error;
      const { code } = error;
      const sensible = [...SENSIBLE, ...(operation.refusals?.(mode) ?? [])].includes(code);
      expect({ n, call, code, sensible }).toEqual({ n, call, code, sensible: true });
      if (code === "EFAULT") prepared.takeBack?.();
      act();
      prepared.verify?.(true);
      made?.[Symbol.dispose]();
      return code;
    }
    if (call !== undefined) {
      // The kernel did without what it could not have.
      prepared.verify?.(false);
      made?.[Symbol.dispose]();
      return "none";
    }
  }
  prepared.verify?.(true);
  made?.[Symbol.dispose]();
  return undefined;
}

/** What this process holds in the kernel, in the kernel's own figures: descriptors, pinned and locked memory. */
function held(): { descriptors: number; pinned: string; locked: string } {
  const status = readFileSync("/proc/self/status", "latin1");
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  return { descriptors: readdirSync("/proc/self/fd").length, pinned: field("VmPin"), locked: field("VmLck") };
}
