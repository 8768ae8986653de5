import type { TargetOptions } from "@vfio-selftests/harness";
import { asArguments } from "../options/option";
import { RUN_OPTIONS } from "./options";
import type { RunOptions } from "./run-options";

/**
 * The words of the command that repeats a run on the same target, after the program's name. The tests are not among
 * them: whoever shows the command adds `-r ID`.
 */
export function repeatingRun(
  target: TargetOptions,
  { bind, testTimeoutMs }: Pick<RunOptions, "bind" | "testTimeoutMs">,
): string[] {
  const { devices, modes, drivers, full, kvmIrq, seed } = target;
  const options = {
    ...(devices.length > 0 && { device: devices }),
    ...(bind !== undefined && { bind }),
    ...(modes.length > 0 && { mode: modes }),
    ...(drivers.length > 0 && { driver: drivers }),
    full,
    ...(kvmIrq !== undefined && { kvmIrq }),
    ...(seed !== undefined && { seed }),
    ...(testTimeoutMs !== undefined && { testTimeoutMs }),
  };
  return ["run", ...asArguments<Partial<RunOptions>>(RUN_OPTIONS, options)];
}
