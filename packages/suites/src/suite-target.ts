import { DEFAULT_MODE, type IommuMode } from "@vfio-selftests/core";
import type { DriverRegistry } from "@vfio-selftests/core/driver";
import type { IrqTestOptions } from "./kvm-irq/irq-test-options";

/** What a suite runs against. */
export interface SuiteTarget {
  /** `models`: no kernel answers, so suites of kernel interfaces do not apply. */
  readonly kind: "models" | "lab" | "hardware";
  /** In the order of the report. Those that are not available here are skipped with their reason. */
  readonly modes: readonly IommuMode[];
  /** Addresses. Empty: every test is skipped and says how to get a device. */
  readonly devices: readonly string[];
  readonly drivers: DriverRegistry;
  /** Bytes that a driver test copies at most, however much the driver could. Default: upstream's 512 MiB. */
  readonly largestCopy?: number;
  /** One run of the KVM interrupt test instead of its variants. */
  readonly kvmIrq?: IrqTestOptions;
}

/** A suite: calls jest's `describe` and `it`. */
export type Suite = (target: SuiteTarget) => void;

/** The mode of tests that are not repeated over the modes: upstream's default where the target has it. */
export function defaultMode(target: SuiteTarget): IommuMode {
  const mode = target.modes.find(({ name }) => name === DEFAULT_MODE) ?? target.modes[0];
  if (mode === undefined) throw new TypeError("a SuiteTarget needs at least one mode");
  return mode;
}
