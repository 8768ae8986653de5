import type { Mutant } from "../source/mutant";
import { findKills, killsOf } from "./known-kills";

const mutant = (number: number, name: string): Mutant => ({
  number,
  file: "drivers/vfio/group.c",
  line: 10 * number,
  column: 1,
  endLine: 10 * number,
  function: name,
  operator: "call-dropped",
  diff: "-\tput();\n+\t;",
});

test("what one kernel's tests killed is found in another kernel, whatever its numbers and lines", () => {
  const kills = killsOf([
    { mutant: mutant(1, "open"), result: { number: 1, status: "killed", by: "a.b" } },
    { mutant: mutant(2, "close"), result: { number: 2, status: "killed", by: "a.c" } },
    { mutant: mutant(3, "read"), result: { number: 3, status: "survived" } },
    { mutant: mutant(4, "write"), result: { number: 4, status: "timed-out", by: "a.d" } },
  ]);
  expect(kills.map(({ by }) => by)).toEqual(["a.b", "a.c"]);
  const { trials, unknown } = findKills(kills, [mutant(8, "close"), mutant(9, "read")]);
  expect(trials).toEqual([{ number: 8, tests: ["a.c"], of: 1 }]);
  expect(unknown.map(({ function: name }) => name)).toEqual(["open"]);
});
