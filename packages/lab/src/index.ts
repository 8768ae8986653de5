export { DEFAULT_ARCHITECTURE, LAB_ARCHITECTURES, parseArchitecture } from "./architecture/architecture";
export type { LabArchitecture } from "./architecture/lab-architecture";
export { labCache, readJson, writeJson, type LabCache } from "./cache/cache";
export { takeCacheLock, type CacheLock, type CacheLockOptions } from "./cache/cache-lock";
export { JUMP_MARK, shellQuote } from "./guest/guest-plan";
export type { LabOptions, NextStage } from "./guest/guest-run";
export type { LabResult } from "./guest/lab-result";
export { runInLab, type LabRunOptions } from "./guest/run";
export { shellInLab, type LabShellOptions } from "./guest/shell";
export { execute, type ExecuteOptions } from "./host/execute";
export { findProgram } from "./host/find-program";
export { thisHost, type LabHost } from "./host/host";
export { INTERRUPT_STATUS, onInterrupt, type InterruptSignal } from "./host/interruption";
export { availableMiB } from "./host/memory";
export { TextProgress, silentProgress, type Progress } from "./host/progress";
export { LAB_DEVICES, deviceUsage, type LabDevice } from "./machine/devices";
export { GUEST_NODE } from "./machine/guest-programs";
export type { LabIommu } from "./machine/iommus";
export {
  LAB_DEFAULTS,
  LAB_LIMITS,
  describeMachine,
  type HugePages,
  type LabMachine,
  type LabMachineOptions,
} from "./machine/lab-machine";
export { findKernelImage, hasBuiltImage } from "./machine/kernel/kernel-image";
export { missingFragment } from "./machine/kernel/missing-fragment";
export { countLackingOptions } from "./machine/kernel/required-kernel";
export { readLabState, requireLabState, type LabState } from "./machine/lab-state";
export { buildKernel, type BuildOptions, type BuildPlaces } from "./setup/kernel/kernel-build";
export { publishedFragment } from "./setup/kernel/kernel-fragment";
export type { KernelChoice, KernelRecipe } from "./setup/kernel/kernel-recipe";
export { COVERED_SOURCES, KERNEL_VARIANTS, kernelVariants, type KernelVariant } from "./setup/kernel/kernel-variants";
export { requireKeptBuild, type KeptBuild } from "./setup/kernel/kept-builds";
export type { SourcePatch } from "./setup/kernel/patched-source";
export { setupNeeds, type SetupNeeds } from "./setup/setup-needs";
export {
  buildLabKernel,
  setupLab,
  type LabBuildOptions,
  type LabSetupOptions,
  type LabSetupResult,
} from "./setup/setup";
