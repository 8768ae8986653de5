import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type KernelOption, parseKernelConfig } from "./kernel-config";

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
  const options = { required: parseKernelConfig(required), wanted: parseKernelConfig(wanted) };
  const lines = fragmentText(options).split("\n").sort();
  return { ...options, key: createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 12) };
}

/** The fragment of this package's data files. */
export function labKernelFragment(): KernelFragment {
  const read = (name: string): string => readFileSync(join(__dirname, "../../../kernel", name), "utf8");
  return makeKernelFragment(read("required.config"), read("wanted.config"));
}

/** The fragment as lines for a `.config`. */
export function fragmentText({ required, wanted }: Omit<KernelFragment, "key">): string {
  return [...required, ...wanted].map(({ name, value }) => `${name}=${value}\n`).join("");
}
