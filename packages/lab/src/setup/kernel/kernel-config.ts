/** One option of a kernel configuration. The value `n` stands for "not set". */
export interface KernelOption {
  readonly name: string;
  readonly value: string;
}

/**
 * The options of a fragment or a `.config`. `# CONFIG_X is not set` counts as `n`; other comments count for nothing.
 */
export function parseKernelConfig(text: string): KernelOption[] {
  return text.split("\n").flatMap((line) => {
    const set = /^(CONFIG_\w+)=(.*?)\s*$/.exec(line);
    if (set !== null) return [{ name: set[1] ?? "", value: set[2] ?? "" }];
    const unset = /^# (CONFIG_\w+) is not set\s*$/.exec(line);
    return unset === null ? [] : [{ name: unset[1] ?? "", value: "n" }];
  });
}

/** The version of the kernel that wrote a `.config`: `6.12`. */
export function configVersion(config: string): string | undefined {
  return /^# Linux\/\S+ (\d+\.\d+)\S* Kernel Configuration$/m.exec(config)?.[1];
}

export interface LostOption extends KernelOption {
  /** What the configuration has instead. */
  readonly actual: string;
}

/** The options whose value in the final configuration is another one. */
export function lostOptions(options: readonly KernelOption[], config: string): LostOption[] {
  const actual = new Map(parseKernelConfig(config).map(({ name, value }) => [name, value]));
  return options
    .map((option) => ({ ...option, actual: actual.get(option.name) ?? "n" }))
    .filter(({ value, actual: has }) => value !== has);
}
