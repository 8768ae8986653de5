import { Command } from "commander";
import fc from "fast-check";
import { RUN_OPTIONS, SUITE_OPTIONS } from "../run/options";
import type { RunOptions, SuiteOptions } from "../run/run-options";
import { defineCommand } from "./command";
import {
  type AnyOption,
  type AnyOptionTable,
  asArguments,
  choice,
  count,
  flag,
  list,
  longName,
  type OptionTable,
  pattern,
  text,
  words,
} from "./option";
import { addCommand } from "./parser";

/** What a command with this table gets for a command line. */
async function parse<Options extends object>(table: OptionTable<Options>, args: readonly string[]): Promise<object> {
  let got: object = {};
  const command = defineCommand<Options>({
    options: table,
    run: (_args, options) => {
      got = options;
      return Promise.resolve(0);
    },
  });
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  const entry = { name: "try", summary: "", load: () => Promise.resolve(command) };
  addCommand(program, entry, command, {}, () => undefined);
  await program.parseAsync(["try", ...args], { from: "user" });
  return got;
}

/** A value that the option takes. Not the first choice: that may be the default, which no command line needs to name. */
function valueOf({ parse, choices = ["1", "1/2"] }: AnyOption): unknown {
  if (parse === undefined) return true;
  for (const word of [...choices].reverse()) {
    try {
      return parse(word, undefined as never);
    } catch {
      continue;
    }
  }
  throw new Error(`takes none of ${choices.join(", ")}`);
}

interface Everything {
  readonly flag?: boolean;
  readonly text?: string;
  readonly list?: readonly string[];
  readonly words?: readonly string[];
  readonly seconds?: number;
  readonly choice?: "a" | "b";
  readonly pattern?: string;
}

const EVERYTHING: OptionTable<Everything> = {
  flag: flag("-f, --other-name", ""),
  text: text("--text <value>", ""),
  list: list("-l, --list <value...>", ""),
  words: words("--words <value...>", ""),
  seconds: count("--seconds <number>", "", { least: 1, most: 100, unit: 1000 }),
  choice: choice("--choice <name>", "", ["a", "b"], { default: "a" }),
  pattern: pattern("-p, --pattern <pattern>", ""),
};

const word = fc.string({ minLength: 1 });
const name = word.filter((value) => !value.includes(","));
const many = (value: fc.Arbitrary<string>) => fc.array(value, { minLength: 1, maxLength: 4 });

test("the inner command reads the passed options unchanged, whatever the values", async () => {
  const options = fc.record(
    {
      flag: fc.constant(true),
      text: word,
      list: many(name),
      words: many(word),
      seconds: fc.integer({ min: 1, max: 100 }).map((value) => value * 1000),
      choice: fc.constantFrom("a" as const, "b" as const),
      pattern: fc.constantFrom("x|y", "-t", "^a b$"),
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(options, async (given) => {
      expect(await parse(EVERYTHING, asArguments<Everything>(EVERYTHING, given))).toEqual({ choice: "a", ...given });
    }),
    { numRuns: 100 },
  );
});

test("lists are separated by commas, by options or by words; words keep their commas", async () => {
  expect(await parse(EVERYTHING, ["-l", "a,b", "c", "--list=d", "--words", "x,y", "z"])).toEqual({
    list: ["a", "b", "c", "d"],
    words: ["x,y", "z"],
    choice: "a",
  });
});

test.each([
  ["--seconds=0", /1 to 100/],
  ["--seconds=1e1", /whole number/],
  ["--seconds=", /whole number/],
  ["--choice=c", /Allowed choices are a, b/],
  ["--pattern=(", /regular expression/],
  ["--pattern=a -p b", /takes one value, and was given "a" already/],
  ["--seconds=1 --seconds=1", /takes one value/],
  ["--choice=b --choice=a", /takes one value/],
])("%s is refused", async (args, message) => {
  await expect(parse(EVERYTHING, args.split(" "))).rejects.toThrow(message);
});

test("every option of run but the devices, their binding and the run's time, which are the VM's, is passed on to the run in the VM", () => {
  const options: AnyOptionTable = RUN_OPTIONS as unknown as AnyOptionTable;
  const given = Object.fromEntries(Object.entries(options).map(([key, spec]) => [key, valueOf(spec)]));
  const passed = asArguments<SuiteOptions>(SUITE_OPTIONS, given as unknown as RunOptions);
  const expected = Object.entries(RUN_OPTIONS).filter(([key]) => !["device", "bind", "timeoutMs"].includes(key));
  expect(new Set(passed.map((argument) => argument.split("=")[0]))).toEqual(
    new Set(expected.map(([, spec]) => longName(spec))),
  );
});

test("a list without a value is refused, because it would mean the same as no list", async () => {
  await expect(parse(EVERYTHING, ["--list", ""])).rejects.toThrow("A value is expected");
  await expect(parse(EVERYTHING, ["--list=,"])).rejects.toThrow("A value is expected");
  expect(await parse(EVERYTHING, ["--list", "a,,b,"])).toMatchObject({ list: ["a", "b"] });
});
