/** A mutant as every kernel that has its lines knows it: numbers are one kernel's, and lines move. */
export interface MutantText {
  readonly file: string;
  readonly function: string;
  readonly operator: string;
  readonly diff: string;
}

/** A function with the same line twice has one mutant less. */
export function textOf({ file, function: name, operator, diff }: MutantText): string {
  return [file, name, operator, diff].join("\n");
}
