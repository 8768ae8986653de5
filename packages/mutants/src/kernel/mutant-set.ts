import { createHash } from "node:crypto";
import type { Operator } from "../operators/operator";
import type { CParser } from "../source/c-parser";
import { findCandidates, type FoundCandidate } from "../source/find-candidates";
import { instrument } from "../source/instrument";
import type { Mutant } from "../source/mutant";
import { describeMutant, TextLines } from "./describe-mutant";

/** A file of the kernel tree, as it is without mutants. */
export interface SourceFile {
  /** Path in the tree. */
  readonly path: string;
  readonly text: string;
}

interface NumberedCandidate extends FoundCandidate {
  readonly number: number;
}

interface MutatedFile extends SourceFile {
  readonly lines: TextLines;
  readonly candidates: readonly NumberedCandidate[];
}

/** Two lines that do not change the line numbers below them. */
const PREFIX = "#include <linux/mutants.h>\n#line 1\n";

/** All mutants of some files. A mutant keeps its number when others are dropped. */
export class MutantSet {
  readonly #files: readonly MutatedFile[];
  readonly #dropped = new Set<number>();
  /** The highest number. */
  readonly size: number;

  constructor(parser: CParser, files: readonly SourceFile[], operators: readonly Operator[]) {
    let number = 0;
    this.#files = files.map((file) => ({
      ...file,
      lines: new TextLines(file.text),
      candidates: findCandidates(parser, file.text, operators).map((found) => ({ ...found, number: ++number })),
    }));
    this.size = number;
  }

  get paths(): readonly string[] {
    return this.#files.map(({ path }) => path);
  }

  get dropped(): ReadonlySet<number> {
    return this.#dropped;
  }

  /** The mutants that are left, described for readers. */
  mutants(): Mutant[] {
    return this.#files.flatMap(({ path, lines, candidates }) =>
      this.#left(candidates).map((candidate) => describeMutant(path, lines, candidate)),
    );
  }

  /** The files with the mutants that are left. A file without any keeps its text. */
  texts(): SourceFile[] {
    return this.#files.map(({ path, text, candidates }) => {
      const left = this.#left(candidates);
      if (left.length === 0) return { path, text };
      const wrappers = left.flatMap(({ number, wrappers: own }) => own.map((wrapper) => ({ ...wrapper, number })));
      return { path, text: PREFIX + instrument(text, wrappers).text };
    });
  }

  /** A key for these mutants, which does not depend on the kernel around them. */
  key(): string {
    const hash = createHash("sha256");
    for (const { path, text } of this.texts()) hash.update(`${path}\n${text}`);
    return hash.digest("hex").slice(0, 12);
  }

  /** Drops the mutants that touch a line. Returns how many it dropped. */
  dropLine(path: string, line: number): number {
    return this.#drop(path, ({ wrappers }, lines) =>
      wrappers.some(({ start, end }) => lines.lineOf(start) <= line && line <= lines.lineOf(end)),
    );
  }

  dropFunction(path: string, name: string): number {
    return this.#drop(path, (candidate) => candidate.function === name);
  }

  dropFile(path: string): number {
    return this.#drop(path, () => true);
  }

  drop(numbers: Iterable<number>): void {
    for (const number of numbers) this.#dropped.add(number);
  }

  #left(candidates: readonly NumberedCandidate[]): readonly NumberedCandidate[] {
    return candidates.filter(({ number }) => !this.#dropped.has(number));
  }

  #drop(path: string, matches: (candidate: NumberedCandidate, lines: TextLines) => boolean): number {
    const before = this.#dropped.size;
    for (const { lines, candidates } of this.#files.filter((file) => file.path === path)) {
      for (const candidate of candidates) if (matches(candidate, lines)) this.#dropped.add(candidate.number);
    }
    return this.#dropped.size - before;
  }
}
