import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_ARCHITECTURE } from "../../architecture/architecture";
import type { LabArchitecture } from "../../architecture/lab-architecture";
import { type KernelOption, parseKernelConfig } from "./kernel-config";
import { type KernelVariant, variantFragment } from "./kernel-variants";
import { LAB_PATCH_KEY } from "./lab-patches";

/** The options that a kernel of the lab gets on top of `tinyconfig`. */
export interface KernelFragment {
  /** Options without which there is no lab. */
  readonly required: readonly KernelOption[];
  /** Options that the set-up names when a kernel version does not take them. */
  readonly wanted: readonly KernelOption[];
  /** Identifies the options in the names of kernels, whatever their version. Other options make a new kernel. */
  readonly key: string;
}

/**
 * The version that brought a required option. An older kernel is a lab all the same: the tests of what it lacks skip.
 * From drivers/vfio/Kconfig and drivers/iommu/iommufd/Kconfig of the versions.
 */
const REQUIRED_SINCE: ReadonlyMap<string, string> = new Map([
  ["CONFIG_IOMMUFD", "6.2"],
  ["CONFIG_VFIO_CONTAINER", "6.2"],
  ["CONFIG_VFIO_GROUP", "6.6"],
  ["CONFIG_VFIO_DEVICE_CDEV", "6.6"],
]);

/** Whether a kernel of this version (`6.12`) has the option at all. */
export function isOfVersion({ name }: KernelOption, version: string): boolean {
  const since = REQUIRED_SINCE.get(name);
  return since === undefined || since.localeCompare(version, "en", { numeric: true }) <= 0;
}

export function makeKernelFragment(required: string, wanted: string): KernelFragment {
  return withKey({ required: parseKernelConfig(required), wanted: parseKernelConfig(wanted) });
}

/** The fragment of this package's data files. The key depends on the lab's patches of the source, too. */
export function labKernelFragment({ name, kernel }: LabArchitecture = DEFAULT_ARCHITECTURE): KernelFragment {
  const base = makeKernelFragment(labConfig("required"), labConfig("wanted"));
  if (kernel.differences === undefined) return withKey(base, LAB_PATCH_KEY);
  const required = parseKernelConfig(labConfig(`${kernel.differences}/required`));
  const wanted = parseKernelConfig(labConfig(`${kernel.differences}/wanted`));
  const others = without([...required, ...wanted]);
  return withKey({ required: [...others(base.required), ...required], wanted: [...others(base.wanted), ...wanted] }, [
    `arch=${name}`,
  ]);
}

/** Keeps the options that are not among those that win over them. */
function without(winners: readonly KernelOption[]): (options: readonly KernelOption[]) => KernelOption[] {
  const names = new Set(winners.map(({ name }) => name));
  return (options) => options.filter(({ name }) => !names.has(name));
}

/**
 * The fragment with the options of the variants, which win over its own. The key depends on the variants, on `what`
 * (which names everything else that makes this kernel a different one, such as its source), and on make's variables.
 */
export function extendFragment(
  base: KernelFragment,
  variants: readonly KernelVariant[],
  what: readonly string[],
): KernelFragment {
  const added = variants.flatMap((variant) => parseKernelConfig(variantFragment(variant)));
  const isRequired = ({ name }: KernelOption): boolean => variants.some(({ option }) => option === name);
  const others = without(added);
  const wanted = new Map(added.filter((option) => !isRequired(option)).map((option) => [option.name, option]));
  return withKey(
    {
      required: [...others(base.required), ...requiredOptions(variants)],
      wanted: [...others(base.wanted), ...wanted.values()],
    },
    [...what, ...variants.flatMap(({ makeVariables = [] }) => makeVariables)],
  );
}

/** The options as a text for `merge_config.sh`, with the comments of their files. */
export function publishedFragment(variants: readonly KernelVariant[]): string {
  const make = variants.flatMap(({ name, makeVariables = [], makeTargets = [] }) =>
    [...makeVariables, ...makeTargets].map((word) => `# For ${name}, make needs on its command line: '${word}'\n`),
  );
  const parts = [labConfig("required"), labConfig("wanted"), ...make, ...variants.map(variantFragment)];
  return parts.join("\n");
}

function labConfig(name: string): string {
  return readFileSync(join(__dirname, "../../../kernel", `${name}.config`), "utf8");
}

/** The options that the variants are named for. A fragment may set one by other options (`CONFIG_DEBUG_INFO`). */
function requiredOptions(variants: readonly KernelVariant[]): KernelOption[] {
  return variants.map(({ option }) => ({ name: option, value: "y" }));
}

function withKey(options: Omit<KernelFragment, "key">, what: readonly string[] = []): KernelFragment {
  const lines = [...fragmentText(options).split("\n"), ...what].sort();
  return { ...options, key: createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 12) };
}

/** The fragment as lines for a `.config`. */
export function fragmentText({ required, wanted }: Omit<KernelFragment, "key">): string {
  return [...required, ...wanted].map(({ name, value }) => `${name}=${value}\n`).join("");
}
