import { showsColour } from "./paint";

const TERMINAL = { isTTY: true };
const PIPE = { isTTY: false };

it.each<[string, { isTTY: boolean }, NodeJS.ProcessEnv, boolean]>([
  ["a terminal", TERMINAL, { TERM: "xterm" }, true],
  ["a pipe", PIPE, { TERM: "xterm" }, false],
  ["a terminal that knows no codes", TERMINAL, { TERM: "dumb" }, false],
  ["a CI's terminal", TERMINAL, { CI: "true" }, false],
  ["NO_COLOR", TERMINAL, { NO_COLOR: "1" }, false],
  ["any value of NO_COLOR", TERMINAL, { NO_COLOR: "0" }, false],
  ["an empty NO_COLOR, which says nothing", TERMINAL, { NO_COLOR: "" }, true],
  ["FORCE_COLOR in a pipe", PIPE, { FORCE_COLOR: "1" }, true],
  ["FORCE_COLOR in a CI's pipe", PIPE, { FORCE_COLOR: "1", CI: "true" }, true],
  ["an empty FORCE_COLOR, which says nothing", PIPE, { FORCE_COLOR: "" }, false],
  ["FORCE_COLOR=0", TERMINAL, { FORCE_COLOR: "0" }, false],
  ["NO_COLOR beside FORCE_COLOR", TERMINAL, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
])("with %s", (_, stream, environment, expected) => {
  expect(showsColour(stream, environment)).toBe(expected);
});
