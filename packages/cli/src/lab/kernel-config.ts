import {
  countLackingOptions,
  DEFAULT_ARCHITECTURE,
  kernelVariants,
  missingFragment,
  parseArchitecture,
  publishedFragment,
} from "@vfio-selftests/lab";
import { ExitCode } from "../exit-codes";
import type { KernelConfigOptions, MachineOptions } from "./options";

/** `lab kernel-config` */
export function labKernelConfig({ with: names = [], missingFrom }: KernelConfigOptions): Promise<number> {
  const variants = kernelVariants(names);
  const text = missingFrom === undefined ? publishedFragment(variants) : missingFragment(missingFrom, variants);
  if (text === "") process.stderr.write("the configuration has all options\n");
  process.stdout.write(text);
  return Promise.resolve(ExitCode.ok);
}

/** A line on what the kernel of `--kernel` lacks of the options that tests want. Undefined where that is nothing, or not known. */
export function describeLackingOptions({ kernel, arch, modules }: MachineOptions): string | undefined {
  if (kernel === undefined) return undefined;
  const architecture = arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(arch);
  const lacking = countLackingOptions(kernel, architecture, { hasModules: modules !== undefined });
  if (lacking === undefined || lacking.count === 0) return undefined;
  const command = `vfio-selftests lab kernel-config --missing-from ${lacking.config}`;
  return `the kernel lacks ${lacking.count} of the options that tests want, some of them perhaps of other versions: \`${command}\` shows them`;
}
