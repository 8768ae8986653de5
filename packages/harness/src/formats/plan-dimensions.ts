import type { TestOutcome } from "../outcome/test-outcome";
import type { RunPlan } from "./report-format";

/** The mode of a test whose id names none is the plan's. */
export function modeOf(test: TestOutcome, plan: RunPlan): string {
  return test.mode ?? plan.defaultMode;
}

/** The device of a test whose titles name none is the plan's; empty where there is none. */
export function deviceOf(test: TestOutcome, plan: RunPlan): string {
  return test.device ?? plan.device ?? NO_DEVICE;
}

export const NO_DEVICE = "";

export function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
