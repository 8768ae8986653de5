import { asArguments } from "../options/option";
import { LAB_RUN_OPTIONS, type LabRunOptions, MACHINE_OPTIONS } from "./options";

/** Options of the VM that change no test's result. */
const WITHOUT_EFFECT = ["writable", "console", "yes"];
/** Options of the suites that may change a test's result, beside its choice. */
const OF_SUITES = ["mode", "driver", "full", "kvmIrq", "seed", "testTimeoutMs"];

/** The words of the command that repeats a run on the same VM, as `repeatingRun` gives them for a run without one. */
export function repeatingLabRun(options: LabRunOptions): string[] {
  const names = [...Object.keys(MACHINE_OPTIONS).filter((name) => !WITHOUT_EFFECT.includes(name)), ...OF_SUITES];
  const entries = Object.entries(options).filter(([name]) => names.includes(name));
  const chosen: Partial<LabRunOptions> = Object.fromEntries(entries);
  return ["lab", "run", ...asArguments<Partial<LabRunOptions>>(LAB_RUN_OPTIONS, chosen)];
}
