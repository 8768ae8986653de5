import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Mutant } from "../source/mutant";
import { type MutantText, textOf } from "./mutant-text";
import { isNoticed, type TriedMutant } from "./result";

/** A mutant that no test can notice, whatever it does: the changed kernel does the same. */
export interface EquivalentMutant extends MutantText {
  /** The proof, from the kernel's source. */
  readonly why: string;
}

const FILE = join(__dirname, "../../kernel/equivalent.json");

/** The mutants shown equivalent so far. A developer who reads a survivor adds it there. */
export function equivalentMutants(file = FILE): readonly EquivalentMutant[] {
  return JSON.parse(readFileSync(file, "utf8")) as EquivalentMutant[];
}

/** Why a mutant is equivalent; undefined for all others. */
export type WhyEquivalent = (mutant: Mutant) => string | undefined;

export function whyEquivalent(known: readonly EquivalentMutant[] = equivalentMutants()): WhyEquivalent {
  const reasons = new Map(known.map((one) => [textOf(one), one.why]));
  return (mutant) => reasons.get(textOf(mutant));
}

/** The unnoticed mutants among the tried ones that are shown equivalent. What was noticed is not equivalent, whatever the list says. */
export function equivalentOnes(tried: readonly TriedMutant[], why: WhyEquivalent): readonly TriedMutant[] {
  return tried.filter(
    ({ mutant, result: { status } }) => status !== "not-reached" && !isNoticed(status) && why(mutant) !== undefined,
  );
}
