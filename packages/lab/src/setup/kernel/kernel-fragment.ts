import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type KernelOption, parseKernelConfig } from "./kernel-config";
import { type KernelVariant, variantFragment } from "./kernel-variants";

/** The options that a kernel of the lab gets on top of `tinyconfig`. */
export interface KernelFragment {
  /** Without these there is no lab. */
  readonly required: readonly KernelOption[];
  /** These are named when a kernel version does not take them. */
  readonly wanted: readonly KernelOption[];
  /** Names the kernels that these options give, whatever the version: other options make a new kernel. */
  readonly key: string;
}

export function makeKernelFragment(required: string, wanted: string): KernelFragment {
  return withKey({ required: parseKernelConfig(required), wanted: parseKernelConfig(wanted) });
}

/** The fragment of this package's data files. */
export function labKernelFragment(): KernelFragment {
  return makeKernelFragment(labConfig("required"), labConfig("wanted"));
}

/**
 * The fragment with the options of the variants, which win over its own. The key is another one for each set of variants,
 * each value of `what` (what else makes this kernel another one: its source, say) and each variable of make's.
 */
export function extendFragment(
  base: KernelFragment,
  variants: readonly KernelVariant[],
  what: readonly string[],
): KernelFragment {
  const added = variants.flatMap((variant) => parseKernelConfig(variantFragment(variant)));
  const isRequired = ({ name }: KernelOption): boolean => variants.some(({ option }) => option === name);
  const others = (options: readonly KernelOption[]): KernelOption[] =>
    options.filter(({ name }) => !added.some((option) => option.name === name));
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
  const make = variants.flatMap(({ name, makeVariables = [] }) =>
    makeVariables.map((variable) => `# For ${name}, make needs on its command line: '${variable}'\n`),
  );
  const parts = [labConfig("required"), labConfig("wanted"), ...make, ...variants.map(variantFragment)];
  return parts.join("\n");
}

function labConfig(name: "required" | "wanted"): string {
  return readFileSync(join(__dirname, "../../../kernel", `${name}.config`), "utf8");
}

/** A variant whose own option is no plain switch in its fragment is on by the options there (`CONFIG_DEBUG_INFO`). */
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
