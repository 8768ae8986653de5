import { stageCommands } from "./stage-commands";

test("two commands, split at the first -- between them", () => {
  expect(stageCommands(["a", "-x", "--", "b", "--", "c"])).toEqual({ first: ["a", "-x"], next: ["b", "--", "c"] });
});

test("no words are no commands", () => {
  expect(stageCommands([])).toBeUndefined();
});

test.each([[["a"]], [["a", "--"]], [["--", "b"]], [["--"]]])("%j is refused", (words) => {
  expect(() => stageCommands(words)).toThrow(/two commands, each after a --/);
});
