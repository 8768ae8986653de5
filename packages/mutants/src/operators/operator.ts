import type { MutableNode } from "../source/mutable-nodes";
import type { Candidate, Wrapper } from "../source/mutant";

/** A kind of fault. */
export interface Operator {
  readonly name: string;
  /** Describes the fault, for help and documentation. */
  readonly summary: string;
  /** The faults of this kind at a place; most places have none. `text`: the whole file. */
  find(place: MutableNode, text: string): readonly Omit<Candidate, "operator">[];
}

type Piece = Pick<Wrapper, "start" | "end">;

/** The three functions of `mutants.h` that take a condition. */
export type ConditionFault = "mutant_not" | "mutant_never" | "mutant_always";

/** Wraps a condition. The kernel still evaluates it, and then takes it for something else. */
export function wrapCondition(piece: Piece, fault: ConditionFault): Wrapper {
  return { ...pieceOf(piece), before: (number) => `${fault}(${number}, `, after: ")" };
}

/**
 * Wraps an expression that another one replaces. `differs` is a condition without side effects, which is true when the
 * two have different values.
 */
export function wrapValue(piece: Piece, faulty: string, differs?: string): Wrapper {
  const chosen = (number: number): string =>
    differs === undefined ? `mutant(${number})` : `mutant_if(${number}, ${oneLine(differs)})`;
  return { ...pieceOf(piece), before: (number) => `(${chosen(number)} ? (${oneLine(faulty)}) : (`, after: "))" };
}

/** Wraps a statement, which the fault leaves out. */
export function wrapStatement(piece: Piece): Wrapper {
  return { ...pieceOf(piece), before: (number) => `{ if (!mutant(${number})) `, after: " }" };
}

/** Inserted text must add no line, so that the compiler's messages and `__LINE__` stay those of the original. */
function oneLine(text: string): string {
  return text.replace(/\/\/[^\n]*/g, "").replace(/\s*\\?\n\s*/g, " ");
}

function pieceOf({ start, end }: Piece): Piece {
  return { start, end };
}
