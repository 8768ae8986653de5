/** A mutant as every kernel that has its lines knows it: numbers are one kernel's, and lines move. */
export interface MutantText {
  /** Path in the kernel tree. */
  readonly file: string;
  /** The function that holds the fault. */
  readonly function: string;
  /** The name of the kind of fault. */
  readonly operator: string;
  /** The lines that the fault changes, before and after. */
  readonly diff: string;
}

/** A function with the same line twice has one mutant less. */
export function textOf({ file, function: name, operator, diff }: MutantText): string {
  return [file, name, operator, diff].join("\n");
}
