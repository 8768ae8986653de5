import { DriverRegistry } from "@vfio-selftests/core/driver";
import { SkipError } from "@vfio-selftests/harness";
import type { Kvm } from "../rigs/interrupts/kvm-irq/kvm";
import type { SuiteTarget } from "../suite-target";
import { kvmIrqSuite } from "./kvm-irq";

const TARGET: SuiteTarget = { kind: "hardware", modes: [], devices: [], drivers: new DriverRegistry() };
const absent = { available: false, reason: "no /dev/kvm", remedy: "load kvm_intel" } as const;

/** What the hook before the suite's eventfd tests throws. */
function thrownBeforeTests(target: SuiteTarget): unknown {
  const hooks: (() => void)[] = [];
  const originals = { describe, it, beforeEach };
  Object.assign(globalThis, {
    describe: (_title: string, define: () => void) => define(),
    it: () => undefined,
    beforeEach: (hook: () => void) => void hooks.push(hook),
  });
  try {
    kvmIrqSuite({ ...target, modes: [{ name: "iommufd" } as never] });
  } finally {
    Object.assign(globalThis, originals);
  }
  try {
    for (const hook of hooks.slice(0, 1)) hook();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("kvmIrqSuite", () => {
  const { arch } = process;
  const runOn = (name: string) => Object.defineProperty(process, "arch", { value: name });
  beforeEach(() => runOn("x64"));
  afterEach(() => runOn(arch));

  it("skips, and says what to bring, where the target has no KVM", () => {
    const error = thrownBeforeTests(TARGET);
    expect(error).toBeInstanceOf(SkipError);
    expect((error as Error).message).toMatch(/the target has no KVM\nremedy: .*@vfio-selftests\/kvm/);
  });

  it("skips with the reason of a KVM that cannot be used, and not at all with one that can", () => {
    const kvm = (availability: ReturnType<Kvm["availability"]>): Kvm => ({
      availability: () => availability,
      firstVector: 32,
      lastVector: 253,
      startGuest: () => Promise.reject(new Error("not in this test")),
    });
    expect(String(thrownBeforeTests({ ...TARGET, kvm: kvm(absent) }))).toContain("no /dev/kvm");
    expect(thrownBeforeTests({ ...TARGET, kvm: kvm({ available: true }) })).toBeUndefined();
  });
});
