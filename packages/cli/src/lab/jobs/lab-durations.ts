import { join } from "node:path";
import type { LabCache } from "@vfio-selftests/lab";
import { KeptDurations } from "../../durations/kept-durations";
import { type MachineKind, machineName } from "../machine-name";

/** What the lab's cache keeps for each set of devices, IOMMU and kind of kernel. */
export function labDurations(cache: Pick<LabCache, "runs">, machine: MachineKind): KeptDurations {
  return KeptDurations.of(machineName(machine), join(cache.runs, "durations"));
}
