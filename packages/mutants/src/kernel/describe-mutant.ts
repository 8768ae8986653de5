import type { FoundCandidate } from "../source/find-candidates";
import type { Mutant } from "../source/mutant";

/** Converts offsets of a text to lines, from 1. */
export class TextLines {
  readonly text: string;
  readonly #starts: readonly number[];

  constructor(text: string) {
    this.text = text;
    this.#starts = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
  }

  get count(): number {
    return this.#starts.length;
  }

  lineOf(offset: number): number {
    let [low, high] = [0, this.#starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  startOf(line: number): number {
    return this.#starts[line - 1] ?? this.text.length;
  }
}

/** Describes a candidate for a developer. */
export function describeMutant(
  file: string,
  lines: TextLines,
  candidate: FoundCandidate & { readonly number: number },
): Mutant {
  const { number, operator, start, end, faulty } = candidate;
  const [line, endLine] = [lines.lineOf(start), lines.lineOf(end)];
  const [from, to] = [lines.startOf(line), lines.startOf(endLine + 1)];
  const before = lines.text.slice(from, to).trimEnd();
  const after = (lines.text.slice(from, start) + faulty + lines.text.slice(end, to)).trimEnd();
  const diff = [...before.split("\n").map((text) => `-${text}`), ...after.split("\n").map((text) => `+${text}`)];
  const released = candidate.wrappers.slice(1).map((wrapper) => `(and line ${lines.lineOf(wrapper.start)})`);
  return {
    number,
    file,
    line,
    column: start - from + 1,
    endLine,
    function: candidate.function,
    operator,
    diff: [...diff, ...released].join("\n"),
  };
}
