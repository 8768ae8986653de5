import { DEFAULT_MODE, Iommu, type IommuMode, KERNEL_MODE_NAMES } from "@vfio-selftests/core";
import type { KernelModeName } from "@vfio-selftests/core/backend";
import { argumentError } from "@vfio-selftests/core/errors";
import { type KernelEnvironment, realKernel } from "../kernel/kernel-calls";
import { AutoMode } from "./auto-mode";
import { KernelMode } from "./kernel-mode";
import { MAP_FILE_ENTRY, modeEntry } from "./mode-table";

/** The five modes on a kernel, in upstream's order. */
export function createModes(kernel: KernelEnvironment = realKernel): IommuMode[] {
  return KERNEL_MODE_NAMES.map((name) => new KernelMode(modeEntry(name), kernel));
}

/** `auto` over these modes: iommufd when it works, else type1v2, on VFIO's container before iommufd's. */
export function createAutoMode(modes: readonly IommuMode[]): AutoMode {
  const preferred: readonly KernelModeName[] = ["iommufd", "vfio_type1v2_iommu", "iommufd_compat_type1v2"];
  return new AutoMode(preferred.flatMap((name) => modes.filter((mode) => mode.name === name)));
}

/** The five modes of this machine's kernel, in upstream's order. */
export const iommuModes: readonly IommuMode[] = createModes();

/** The mode `auto` on this machine. */
export const autoMode: AutoMode = createAutoMode(iommuModes);

/** iommufd, with memfds mapped by IOMMU_IOAS_MAP_FILE. */
export const mapFileMode: IommuMode = new KernelMode(MAP_FILE_ENTRY);

/** The names that {@link findMode} knows: upstream's five, and `auto`. */
export const IOMMU_MODE_NAMES: readonly (KernelModeName | "auto")[] = [...KERNEL_MODE_NAMES, "auto"];

/** A mode by name. Throws ERR_INVALID_ARGUMENT, with the list of names, for an unknown name. */
export function findMode(name: string): IommuMode {
  const mode = [...iommuModes, autoMode].find((candidate) => candidate.name === name);
  if (mode === undefined) throw argumentError("findMode", "mode", name, IOMMU_MODE_NAMES.join(", "));
  return mode;
}

/** A new address space in the mode with that name. */
export function openIommu(name: string = DEFAULT_MODE): Iommu {
  return new Iommu(findMode(name).open());
}
