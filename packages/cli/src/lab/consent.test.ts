import { PassThrough } from "node:stream";
import { installConsent } from "./consent";

const PACKAGES = ["flex", "bison"];
const COMMAND = "apt-get install flex bison";

function terminal(isTTY = true) {
  return Object.assign(new PassThrough(), { isTTY });
}

function consentAt(input: PassThrough, output: PassThrough, options = {}) {
  return installConsent(options, input as unknown as NodeJS.ReadStream, output as unknown as NodeJS.WriteStream)
    .mayInstall;
}

test.each([
  ["y\n", true],
  ["Yes\n", true],
  ["\n", false],
  ["no\n", false],
  ["yesterday\n", false],
])("a person at a terminal is asked; %j is %s", async (answer, expected) => {
  const [input, output] = [terminal(), terminal()];
  const decision = consentAt(input, output)?.(PACKAGES, COMMAND, undefined);
  input.write(answer);
  expect(await decision).toBe(expected);
  expect(String(output.read())).toContain(COMMAND);
});

test("the end of the input is no consent", async () => {
  const input = terminal();
  const decision = consentAt(input, terminal())?.(PACKAGES, COMMAND, undefined);
  input.end();
  expect(await decision).toBe(false);
});

test("an interrupt ends the question", async () => {
  const abort = new AbortController();
  const decision = consentAt(terminal(), terminal())?.(PACKAGES, COMMAND, abort.signal);
  abort.abort();
  expect(await decision).toBe(false);
});

test("without a terminal nobody is asked and nothing is installed; --yes needs neither", async () => {
  expect(consentAt(terminal(false), terminal())).toBeUndefined();
  expect(consentAt(terminal(), terminal(false))).toBeUndefined();
  expect(await consentAt(terminal(false), terminal(false), { yes: true })?.(PACKAGES, COMMAND, undefined)).toBe(true);
});
