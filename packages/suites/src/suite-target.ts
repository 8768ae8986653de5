import type { Target } from "@vfio-selftests/harness";
import type { IrqTestOptions } from "./rigs/interrupts/kvm-irq/irq-test-options";
import type { Kvm } from "./rigs/interrupts/kvm-irq/kvm";

/** What the suites run against. Drivers, device models and KVM come with the target, because the suites know none. */
export interface SuiteTarget extends Target {
  /** The most bytes that a driver test copies, however much the driver could. Default: upstream's 512 MiB. */
  readonly largestCopy?: number;
  /** Whether tests that do less in a VM, to save time, do as much there as on hardware. */
  readonly full?: boolean;
  /** Makes the guests of the KVM interrupt test. Without it that test skips. */
  readonly kvm?: Kvm;
  /** The options of one run of the KVM interrupt test, which replaces its variants. */
  readonly kvmIrq?: IrqTestOptions;
  /** On which of a live update's kernels the tests run: 1, the first, or 2, the next. Absent: there is no live update. */
  readonly stage?: number;
  /** Whether the example that fails on purpose is part of the run. */
  readonly failingExample?: boolean;
}

/** A suite calls jest's `describe` and `it`. */
export type Suite = (target: SuiteTarget) => void;
