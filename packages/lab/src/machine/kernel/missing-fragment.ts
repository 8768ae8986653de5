import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import { LAB_ARCHITECTURES } from "../../architecture/architecture";
import type { LabArchitecture } from "../../architecture/lab-architecture";
import { extendFragment, labKernelFragment } from "../../setup/kernel/kernel-fragment";
import type { KernelVariant } from "../../setup/kernel/kernel-variants";
import { lackingOptions, lackingText } from "../../setup/kernel/lacking-options";
import { type ConfigFile, configOfImage, readConfig } from "./image-config";

/**
 * The options of the lab and of these variants that a kernel lacks, as a text for `merge_config.sh`. The path is a `.config`,
 * an image, a kernel tree or a build folder. Empty where nothing is lacking.
 *
 * @throws VfioError `ERR_INVALID_ARGUMENT` where no configuration is found, or one of another CPU
 */
export function missingFragment(path: string, variants: readonly KernelVariant[]): string {
  const config = findConfig(path);
  const architecture = architectureOf(config);
  const fragment = extendFragment(labKernelFragment(architecture), variants, []);
  return lackingText(lackingOptions(fragment, config.text));
}

function findConfig(path: string): ConfigFile {
  const found = isFolder(path) ? readConfig(join(path, ".config")) : (readConfig(path) ?? besideImage(path));
  if (found !== undefined) return found;
  const allowed = "a .config, an image with one beside it, or a kernel tree or build folder that is configured";
  throw refusal(path, allowed);
}

function besideImage(path: string): ConfigFile | undefined {
  if (!existsSync(path)) return undefined;
  const found = LAB_ARCHITECTURES.map(({ kernel }) => configOfImage(path, kernel));
  return found.find((config) => config !== undefined);
}

/** The kernel's build writes its ARCH at the top: `Linux/x86`, which is x86_64 for make, too, and `Linux/arm64`. */
function architectureOf({ path, text }: ConfigFile): LabArchitecture {
  const [, name = ""] = /^# Linux\/(\S+) /m.exec(text) ?? [];
  const found = LAB_ARCHITECTURES.find(
    (architecture) => architecture.name === name || architecture.kernel.builtImage.startsWith(`arch/${name}/`),
  );
  if (found !== undefined) return found;
  throw refusal(path, `a configuration for ${LAB_ARCHITECTURES.map((known) => known.name).join(" or ")}`);
}

function refusal(path: string, allowed: string): Error {
  return argumentError("lab kernel-config", "missing-from", path, allowed);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
