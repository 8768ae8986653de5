import type { Target } from "@vfio-selftests/harness";
import type { IrqTestOptions } from "./rigs/kvm-irq/irq-test-options";
import type { Kvm } from "./rigs/kvm-irq/kvm";

/** What the suites run against. Drivers, device models and KVM come with it: the suites know none. */
export interface SuiteTarget extends Target {
  /** Bytes that a driver test copies at most, however much the driver could. Default: upstream's 512 MiB. */
  readonly largestCopy?: number;
  /** Makes the guests of the KVM interrupt test, which is skipped without. */
  readonly kvm?: Kvm;
  /** One run of the KVM interrupt test instead of its variants. */
  readonly kvmIrq?: IrqTestOptions;
  /** The example that fails on purpose is part of the run. */
  readonly failingExample?: boolean;
}

/** A suite: calls jest's `describe` and `it`. */
export type Suite = (target: SuiteTarget) => void;
