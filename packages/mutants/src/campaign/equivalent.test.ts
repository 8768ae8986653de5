import { OPERATORS } from "../operators/table";
import type { Mutant } from "../source/mutant";
import { equivalentMutants, whyEquivalent } from "./equivalent";
import { summaryLines, survivorLines } from "./report";
import type { MutantStatus, TriedMutant } from "./result";

const mutant = (number: number, name: string): Mutant => ({
  number,
  file: "drivers/vfio/group.c",
  line: number,
  column: 1,
  endLine: number,
  function: name,
  operator: "call-dropped",
  diff: "-\tput();\n+\t;",
});
const tried = (number: number, name: string, status: MutantStatus): TriedMutant => ({
  mutant: mutant(number, name),
  result: { number, status },
});

test("a survivor shown equivalent counts for nothing and is not listed; one that was noticed counts", () => {
  const { line: _, column: _c, endLine: _e, number: _n, ...text } = mutant(9, "close");
  const why = whyEquivalent([
    { ...text, why: "nobody can see it" },
    { ...text, function: "read", why: "wrong" },
  ]);
  const all = [tried(1, "open", "survived"), tried(2, "close", "no-difference"), tried(3, "read", "killed")];
  expect(summaryLines(all, why).slice(-2)).toEqual([
    "1 of 3 mutants in lines that tests reach were noticed (33.3 %)",
    "1 of 2 without the 1 shown equivalent (50.0 %)",
  ]);
  const listed = survivorLines(all, () => [], why).filter((line) => line.startsWith("drivers"));
  expect(listed).toEqual(["drivers/vfio/group.c:1 open: call-dropped (mutant 1)"]);
});

test("each mutant in the list has an operator and a reason, and stands there once", () => {
  const list = equivalentMutants();
  expect(new Set(list.map(({ why: _, ...text }) => JSON.stringify(text))).size).toBe(list.length);
  for (const { operator, why } of list) {
    expect(OPERATORS.map(({ name }) => name)).toContain(operator);
    expect(why.length).toBeGreaterThan(20);
  }
});
