import type { HugePageCounts } from "@vfio-selftests/core/sysfs";
import type { DeviceDescription } from "../../info/describe-device";
import type { BootLoader } from "./boot-loader";
import type { Confinement } from "./confinement";
import type { IommuFacts } from "./iommu-facts";
import type { ModuleState, VfioModule } from "./kernel-modules";
import type { LabFacts } from "./lab-facts";
import type { LockedMemory } from "./locked-memory";

export type FileState = "usable" | "denied" | "absent";

/** All that the checks know. It is read once, so that each check is a function of it. */
export interface Machine {
  /** `uname -r`. */
  readonly kernel: string;
  readonly bootParameters: readonly string[];
  readonly bootLoader: BootLoader | undefined;
  readonly iommu: IommuFacts;
  /** Modules of VFIO and iommufd. */
  readonly modules: Readonly<Record<VfioModule, ModuleState>>;
  /** Files that a test opens, by path. */
  readonly files: Readonly<Record<string, FileState>>;
  readonly sysfsReadOnly: boolean;
  readonly confinement: Confinement;
  readonly lockedMemory: LockedMemory;
  /** Bytes that each device maps. */
  readonly memoryPerDevice: number;
  /** By page size in bytes. */
  readonly hugePages: ReadonlyMap<number, HugePageCounts>;
  /** The device asked for. */
  readonly named: string | undefined;
  /** That device, or all that are bound to a VFIO driver. */
  readonly devices: readonly DeviceDescription[];
  /** Addresses of devices behind an IOMMU that no VFIO driver has, without bridges. */
  readonly candidates: readonly string[];
  readonly lab: LabFacts;
}
