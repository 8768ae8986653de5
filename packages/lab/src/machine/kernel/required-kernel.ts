import { VfioError } from "@vfio-selftests/core";
import type { LabArchitecture } from "../../architecture/lab-architecture";
import type { LostOption } from "../../setup/kernel/kernel-config";
import { labKernelFragment } from "../../setup/kernel/kernel-fragment";
import { isLoadable, isModule, lackingOptions, optionLines } from "../../setup/kernel/lacking-options";
import { type ConfigFile, configOfImage } from "./image-config";
import { findKernelImage } from "./kernel-image";

/** What a kernel that somebody names must bring. */
export interface KernelDemands {
  /** Whether the guest gets the kernel's modules. */
  readonly hasModules: boolean;
  /** Takes the kernel whatever its configuration lacks. */
  readonly anyConfig?: boolean | undefined;
}

/**
 * The image of a kernel that somebody names: a file, a kernel tree or a build folder.
 *
 * @throws VfioError `ERR_LAB_NO_IMAGE`; `ERR_LAB_KERNEL_CONFIG` where its configuration is known and lacks what the lab needs
 */
export function requireKernel(path: string, architecture: LabArchitecture, demands: KernelDemands): string {
  const image = findKernelImage(path, architecture.kernel);
  if (demands.anyConfig === true) return image;
  const config = configOfImage(image, architecture.kernel);
  if (config === undefined) return image;
  const { required } = lackingOptions(labKernelFragment(architecture), config.text);
  const lacking = required.filter((option) => !(demands.hasModules && isLoadable(option)));
  if (lacking.length > 0) throw lackingError(image, config, lacking);
  return image;
}

function lackingError(image: string, { path }: ConfigFile, lacking: readonly LostOption[]): VfioError {
  const modules = lacking.filter(isModule).map(({ name }) => name);
  const areModules = modules.length === 0 ? "" : `; modules now: ${modules.join(", ")}`;
  const loads = lacking.every(isLoadable) ? "give the kernel's modules with --modules. Or " : "";
  return new VfioError(
    `the kernel ${image} lacks options that the lab needs built in (its configuration is ${path}${areModules}):\n` +
      optionLines(lacking).trimEnd(),
    {
      code: "ERR_LAB_KERNEL_CONFIG",
      operation: "lab",
      subject: image,
      remedy:
        `${loads}run \`vfio-selftests lab kernel-config --missing-from ${path} > lab.config\`, which has what tests want, too, ` +
        "and in the kernel tree `scripts/kconfig/merge_config.sh .config lab.config`; then build the kernel again. " +
        "--any-config boots it as it is, which may end in silence",
    },
  );
}

/** How many options that tests want a kernel lacks, and where its configuration is. Undefined where that is not known. */
export function countLackingOptions(
  path: string,
  architecture: LabArchitecture,
  { hasModules }: Pick<KernelDemands, "hasModules">,
): { readonly config: string; readonly count: number } | undefined {
  const config = configOfImage(findKernelImage(path, architecture.kernel), architecture.kernel);
  if (config === undefined) return undefined;
  const { required, wanted } = lackingOptions(labKernelFragment(architecture), config.text);
  const lacking = [...required, ...wanted].filter((option) => !(hasModules && isLoadable(option)));
  return { config: config.path, count: lacking.length };
}
