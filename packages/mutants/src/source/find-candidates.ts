import type { Operator } from "../operators/operator";
import type { CParser } from "./c-parser";
import { mutableNodes } from "./mutable-nodes";
import type { Candidate } from "./mutant";

/** A candidate, and the function that contains it. */
export interface FoundCandidate extends Candidate {
  readonly function: string;
}

/** The faults that the operators can make in a C file, in the order of its text. */
export function findCandidates(parser: CParser, text: string, operators: readonly Operator[]): FoundCandidate[] {
  const tree = parser.parse(text);
  try {
    const found: FoundCandidate[] = [];
    for (const place of mutableNodes(tree.rootNode, text)) {
      for (const operator of operators) {
        for (const candidate of operator.find(place, text)) {
          found.push({ ...candidate, operator: operator.name, function: place.function.name });
        }
      }
    }
    return found.sort((a, b) => a.start - b.start || b.end - a.end);
  } finally {
    tree.delete();
  }
}
