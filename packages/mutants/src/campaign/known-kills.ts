import type { Mutant } from "../source/mutant";
import { type MutantText, textOf } from "./mutant-text";
import type { TriedMutant } from "./result";
import type { Trial } from "./trial";

/** A mutant that a test has killed. */
export interface KnownKill extends MutantText {
  /** The test. */
  readonly by: string;
}

/** Those of the tried mutants that a test has killed. */
export function killsOf(tried: readonly TriedMutant[]): KnownKill[] {
  return tried.flatMap(({ mutant: { file, function: name, operator, diff }, result: { status, by = "" } }) =>
    status === "killed" && by !== "" ? [{ file, function: name, operator, diff, by }] : [],
  );
}

/** What a kernel has of them: each mutant with its test, and those that it does not have. */
export function findKills(
  kills: readonly KnownKill[],
  mutants: readonly Mutant[],
): { readonly trials: readonly Trial[]; readonly unknown: readonly KnownKill[] } {
  const byText = new Map(mutants.map((mutant) => [textOf(mutant), mutant.number]));
  const trials: Trial[] = [];
  const unknown: KnownKill[] = [];
  for (const kill of kills) {
    const number = byText.get(textOf(kill));
    if (number === undefined) unknown.push(kill);
    else trials.push({ number, tests: [kill.by], of: 1 });
  }
  return { trials, unknown };
}
