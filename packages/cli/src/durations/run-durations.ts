import type { TargetOptions } from "@vfio-selftests/harness";
import { stateFile } from "../state-file";
import { KeptDurations } from "./kept-durations";

/** Names the lab's file to the run in its VM, which sees the host's files. */
export const DURATIONS_FILE = "VFIO_SELFTESTS_DURATIONS_FILE";

/** What this user's state keeps for each set of devices or models. Undefined in the lab's VM, where the host keeps it. */
export function runDurations({ devices, full, lab }: TargetOptions): KeptDurations | undefined {
  const file = process.env[DURATIONS_FILE];
  if (file !== undefined) return new KeptDurations(file);
  if (lab) return undefined;
  const target = devices.length === 0 ? ["models"] : devices;
  return KeptDurations.of([...target, ...(full ? ["full"] : [])].join("+"), stateFile("durations"));
}
