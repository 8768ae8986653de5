import { join } from "node:path";
import { existsPath, readAttribute, type SystemPaths } from "@vfio-selftests/core/sysfs";

export const VFIO_MODULES = ["vfio-pci", "vfio_iommu_type1", "iommufd"] as const;
export type VfioModule = (typeof VFIO_MODULES)[number];

/** `unknown`: there is no folder of modules for this kernel, as in a container. */
export type ModuleState = "present" | "loadable" | "missing" | "unknown";

/** Whether the running kernel has a module, built in or loaded, or could load it. */
export function moduleState(module: VfioModule, kernel: string, paths: SystemPaths): ModuleState {
  if (isPresent(module, paths)) return "present";
  const folder = join(paths.root, "lib/modules", kernel);
  const loadable = readAttribute(join(folder, "modules.dep"));
  if (loadable === undefined) return "unknown";
  const file = new RegExp(`/${module.replaceAll("_", "[-_]").replaceAll("-", "[-_]")}[.]ko`, "m");
  if (file.test(readAttribute(join(folder, "modules.builtin")) ?? "")) return "present";
  return file.test(loadable) ? "loadable" : "missing";
}

/** A module that is built in has a folder only where it has parameters. iommufd has its misc device in any case. */
function isPresent(module: VfioModule, paths: SystemPaths): boolean {
  if (existsPath(paths.sys("module", module.replaceAll("-", "_")))) return true;
  if (module === "vfio-pci") return existsPath(paths.sys("bus", "pci", "drivers", module));
  return module === "iommufd" && /^\s*\d+ iommu$/m.test(readAttribute(paths.proc("misc")) ?? "");
}
