import { accessSync, constants } from "node:fs";
import type { Driver } from "@vfio-selftests/core/driver";
import {
  hugePageCounts,
  isBridge,
  isVfioDriver,
  listPciDevices,
  pciDevice,
  readAttribute,
  type SystemPaths,
  vfioFiles,
} from "@vfio-selftests/core/sysfs";
import type { LabHost } from "@vfio-selftests/lab";
import { describeDevice } from "../../info/describe-device";
import { deviceNamed } from "../../target/named-devices";
import { findBootLoader } from "./boot-loader";
import { readConfinement } from "./confinement";
import { readIommuFacts } from "./iommu-facts";
import { moduleState } from "./kernel-modules";
import { readLabFacts } from "./lab-facts";
import { readLockedMemory } from "./locked-memory";
import type { FileState, Machine } from "./machine";

export interface MachineQuestion {
  readonly named: string | undefined;
  /** Bytes. */
  readonly memoryPerDevice: number;
  readonly drivers: readonly Driver[];
  readonly host: LabHost;
  readonly paths: SystemPaths;
}

const HUGE_PAGE_SIZES = [2 ** 21, 2 ** 30] as const;

/** Throws ENODEV where the named device does not exist. */
export function readMachine({ named, memoryPerDevice, drivers, host, paths }: MachineQuestion): Machine {
  const kernel = readAttribute(paths.proc("sys", "kernel", "osrelease")) ?? "unknown";
  const all = listPciDevices(paths);
  const chosen =
    named === undefined
      ? all.filter(({ driver }) => isVfioDriver(driver))
      : [pciDevice(deviceNamed(named, paths), paths)];
  const nodes = [paths.dev("vfio", "vfio"), paths.dev("iommu"), paths.dev("kvm")];
  const files = [...nodes, ...chosen.flatMap(({ address }) => vfioFiles(address, paths))];
  return {
    kernel,
    bootParameters: (readAttribute(paths.proc("cmdline")) ?? "").split(/\s+/).filter((word) => word !== ""),
    bootLoader: findBootLoader(paths),
    iommu: readIommuFacts(paths),
    modules: {
      "vfio-pci": moduleState("vfio-pci", kernel, paths),
      vfio_iommu_type1: moduleState("vfio_iommu_type1", kernel, paths),
      iommufd: moduleState("iommufd", kernel, paths),
    },
    files: Object.fromEntries(files.map((path) => [path.slice(path.indexOf("/dev/")), fileState(path)])),
    sysfsReadOnly: isReadOnly("/sys", paths),
    confinement: readConfinement(paths),
    lockedMemory: readLockedMemory(paths),
    memoryPerDevice,
    hugePages: new Map(
      HUGE_PAGE_SIZES.flatMap((size) => {
        const counts = hugePageCounts(size, paths);
        return counts === undefined ? [] : [[size, counts]];
      }),
    ),
    named: chosen.find(() => named !== undefined)?.address,
    devices: chosen.map((entry) => describeDevice(entry, drivers, paths)),
    candidates: all.flatMap((entry) =>
      entry.iommuGroup === undefined || isBridge(entry) || isVfioDriver(entry.driver) ? [] : entry.address,
    ),
    lab: readLabFacts(host, paths),
  };
}

function fileState(path: string): FileState {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return "usable";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EACCES" || code === "EPERM" ? "denied" : "absent";
  }
}

/** Whether the last mount at this place is read-only (proc(5), mountinfo). */
function isReadOnly(place: string, paths: SystemPaths): boolean {
  const mounts = (readAttribute(paths.proc("self", "mountinfo")) ?? "").split("\n").map((line) => line.split(" "));
  const options = mounts.findLast(([, , , , point]) => point === place)?.[5] ?? "";
  return options.split(",").includes("ro");
}
