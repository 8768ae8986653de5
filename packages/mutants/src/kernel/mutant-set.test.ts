import { OPERATORS } from "../operators/table";
import { cParser } from "../source/c-parser";
import { dropFailing } from "./drop-failing";
import { MutantSet } from "./mutant-set";

const FILES = [
  { path: "drivers/vfio/a.c", text: "int one(int a)\n{\n\tif (a < 1)\n\t\treturn -EINVAL;\n\treturn two(a);\n}\n" },
  { path: "drivers/vfio/b.c", text: "int three(int a)\n{\n\tput_it(a);\n\treturn 0;\n}\n" },
];

async function makeSet(): Promise<MutantSet> {
  return new MutantSet(await cParser(), FILES, OPERATORS);
}

test("numbers are unique over all files, and a mutant says where it is and what it changes", async () => {
  const mutants = (await makeSet()).mutants();
  const numbers = mutants.map(({ number }) => number);
  expect(numbers).toEqual([...new Set(numbers)]);
  expect(Math.min(...numbers)).toBe(1);
  expect(mutants.find(({ operator }) => operator === "errno-exchanged")).toMatchObject({
    file: "drivers/vfio/a.c",
    line: 4,
    function: "one",
    diff: "-\t\treturn -EINVAL;\n+\t\treturn -EPERM;",
  });
});

test("the lines of a mutated file keep their numbers", async () => {
  const [first] = (await makeSet()).texts();
  expect(first?.text).toMatch(/^#include <linux\/mutants\.h>\n#line 1\nint one\(int a\)\n\{\n\tif \(mutant_not\(/);
});

test("what does not compile is dropped, the others keep their numbers", async () => {
  const set = await makeSet();
  const before = set.mutants();
  const error = "../drivers/vfio/a.c: In function 'one':\n../drivers/vfio/a.c:4:3: error: no\n";
  expect(dropFailing(set, error)).toBe(1);
  expect(set.mutants()).toEqual(before.filter(({ line, file }) => line !== 4 || file !== "drivers/vfio/a.c"));
  expect(set.texts()[0]?.text).toContain("\t\treturn -EINVAL;");
  // Again, although nothing is left on that line: the whole function.
  expect(dropFailing(set, error)).toBe(before.filter(({ function: name }) => name === "one").length - 1);
  expect(set.texts()[0]).toEqual(FILES[0]);
  expect(dropFailing(set, error)).toBe(0);
});

test("another set has another key", async () => {
  const set = await makeSet();
  const key = set.key();
  expect((await makeSet()).key()).toBe(key);
  set.dropLine("drivers/vfio/b.c", 3);
  expect(set.key()).not.toBe(key);
});
