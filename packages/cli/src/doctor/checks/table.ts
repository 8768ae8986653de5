import type { Check } from "../check";
import { addressWidth } from "./address-width";
import { containerHasVfio } from "./container";
import { deviceFiles } from "./device-files";
import { devicesAnswer } from "./devices-answer";
import { devicesUsable } from "./devices-usable";
import { hugePages } from "./huge-pages";
import { interruptRemapping } from "./interrupt-remapping";
import { iommuOn } from "./iommu-on";
import { kvm } from "./kvm";
import { labMemory, labPrograms } from "./lab-programs";
import { lockdown } from "./lockdown";
import { lockedMemory } from "./locked-memory";
import { passthrough } from "./passthrough";
import { securityModule } from "./security-module";
import { sharedGroups } from "./shared-groups";
import { sysfsWritable } from "./sysfs-writable";
import { vfioModules } from "./vfio-modules";

/** Every check, in the order in which its findings are to be mended. */
export const CHECKS: readonly Check[] = [
  containerHasVfio,
  iommuOn,
  interruptRemapping,
  vfioModules,
  devicesUsable,
  devicesAnswer,
  deviceFiles,
  sysfsWritable,
  lockedMemory,
  hugePages,
  sharedGroups,
  addressWidth,
  passthrough,
  lockdown,
  securityModule,
  labPrograms,
  labMemory,
  kvm,
];
