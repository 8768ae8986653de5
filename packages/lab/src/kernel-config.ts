/** One option that a fragment asks for. `n` stands for "not set". */
export interface KernelOption {
  readonly name: string;
  readonly value: string;
}

/** The options of a fragment or of a `.config`; comments and empty lines are skipped, `# CONFIG_X is not set` counts as `n`. */
export function parseKernelConfig(text: string): KernelOption[] {
  return text.split("\n").flatMap((line) => {
    const set = /^(CONFIG_\w+)=(.*?)\s*$/.exec(line);
    if (set !== null) return [{ name: set[1] ?? "", value: set[2] ?? "" }];
    const unset = /^# (CONFIG_\w+) is not set\s*$/.exec(line);
    return unset === null ? [] : [{ name: unset[1] ?? "", value: "n" }];
  });
}

/** The options of the fragment that the final configuration does not have as asked, with what it has instead. */
export function lostOptions(fragment: string, config: string): (KernelOption & { actual: string })[] {
  const actual = new Map(parseKernelConfig(config).map(({ name, value }) => [name, value]));
  return parseKernelConfig(fragment)
    .map((option) => ({ ...option, actual: actual.get(option.name) ?? "n" }))
    .filter(({ value, actual: has }) => value !== has);
}
