/** A wrapper around a piece of the source: the text before the piece and the text after it. */
export interface Wrapper {
  /** Offsets of the piece in the original text. */
  readonly start: number;
  readonly end: number;
  /** Takes the number of the mutant. */
  readonly before: (number: number) => string;
  readonly after: string;
}

/** A fault that an operator can make at one place. */
export interface Candidate {
  readonly operator: string;
  /** Several where one fault needs several places: a lock that is not taken must not be released either. */
  readonly wrappers: readonly Wrapper[];
  /** The piece that the fault replaces, and for a reader the text that replaces it. */
  readonly start: number;
  readonly end: number;
  readonly faulty: string;
}

/** A candidate of a file, with its number in the kernel and a description for readers. */
export interface Mutant {
  /** From 1, unique in the set. */
  readonly number: number;
  /** Path in the kernel tree. */
  readonly file: string;
  /** Line and column of the first character that the fault replaces, from 1. */
  readonly line: number;
  /** See `line`. */
  readonly column: number;
  /** Line of the last character that the fault replaces, from 1. */
  readonly endLine: number;
  /** The function that holds it. */
  readonly function: string;
  /** The name of the kind of fault. */
  readonly operator: string;
  /** The lines that the fault changes, before and after. */
  readonly diff: string;
}
