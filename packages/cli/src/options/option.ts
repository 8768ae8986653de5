import { InvalidArgumentError } from "commander";

/** One option of a command: parser, help, the options that `lab run` passes on, and docs/commands.md are made of it. */
export interface OptionSpec<T> {
  /** As help shows it: `-d, --device <name...>`. */
  readonly flags: string;
  readonly summary: string;
  /** The value when it is not given. */
  readonly default?: T;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  /** Takes one value from the command line, after those before it. Undefined for a flag, which takes none. */
  readonly parse?: (text: string, previous: T | undefined) => T;
  /** The value as the command line has it, once for each occurrence. */
  write(value: T): readonly string[];
}

/** The options of a command, by the names that its code knows them by: each one, and no other. */
export type OptionTable<Options> = {
  readonly [Name in keyof Required<Options>]: OptionSpec<Exclude<Options[Name], undefined>>;
};

/** An option without the type of its value: what walks over all options of any command sees. */
export interface AnyOption extends Omit<OptionSpec<never>, "default" | "parse" | "write"> {
  readonly default?: string | number | boolean | readonly string[];
  readonly parse?: (text: string, previous: never) => unknown;
  write(value: never): readonly string[];
}

export type AnyOptionTable = Readonly<Record<string, AnyOption>>;

type Extras<T> = Pick<OptionSpec<T>, "default" | "required">;

/** Given or not. */
export function flag(flags: string, summary: string): OptionSpec<boolean> {
  return { flags, summary, write: () => [] };
}

export function text(flags: string, summary: string, extras: Extras<string> = {}): OptionSpec<string> {
  return { flags, summary, ...extras, parse: (value) => value, write: (value) => [value] };
}

/** A regular expression, as text. */
export function pattern(flags: string, summary: string): OptionSpec<string> {
  const parse = (value: string): string => {
    try {
      new RegExp(value);
    } catch (error) {
      throw new InvalidArgumentError(`A regular expression is expected (${(error as Error).message}).`);
    }
    return value;
  };
  return { flags, summary, parse, write: (value) => [value] };
}

/** Several values: separated by commas, in repeated options, or one after the other. */
export function list(flags: string, summary: string): OptionSpec<readonly string[]> {
  const split = (value: string): string[] => {
    const parts = value.split(",").filter((part) => part !== "");
    // `-d "$ADDRESS"` of a variable that is not set must not mean what no `-d` means.
    if (parts.length === 0) throw new InvalidArgumentError("A value is expected.");
    return parts;
  };
  return { ...words(flags, summary), parse: (value, previous = []) => [...previous, ...split(value)] };
}

/** Several values that may hold commas. */
export function words(flags: string, summary: string): OptionSpec<readonly string[]> {
  return { flags, summary, parse: (value, previous = []) => [...previous, value], write: (values) => values };
}

export interface NumberRange {
  readonly least: number;
  readonly most: number;
  /** What one of the user's units is for the code: 1000 for seconds that it takes as milliseconds. Default 1. */
  readonly unit?: number;
}

/** A whole number. */
export function count(flags: string, summary: string, { least, most, unit = 1 }: NumberRange): OptionSpec<number> {
  const parse = (value: string): number => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= least && number <= most) return number * unit;
    throw new InvalidArgumentError(`A whole number from ${least} to ${most} is expected.`);
  };
  return { flags, summary, parse, write: (value) => [String(value / unit)] };
}

/** One of some names. */
export function choice<Name extends string>(
  flags: string,
  summary: string,
  choices: readonly Name[],
  extras: Extras<Name> = {},
): OptionSpec<Name> {
  const parse = (value: string): Name => {
    const found = choices.find((name) => name === value);
    if (found === undefined) throw new InvalidArgumentError(`Allowed choices are ${choices.join(", ")}.`);
    return found;
  };
  return { flags, summary, choices, ...extras, parse, write: (value) => [value] };
}

/** The long name of an option, by which it is written on a command line: `--device`. */
export function longName({ flags }: Pick<AnyOption, "flags">): string {
  const name = /--[\w-]+/.exec(flags)?.[0];
  if (name === undefined) throw new Error(`no long name in ${flags}`);
  return name;
}

/** Of the options of several tables those of one. */
export function optionsOf<Options extends object>(table: OptionTable<Options>, options: Options): Options {
  const entries = Object.entries(options).filter(([key]) => key in table);
  return Object.fromEntries(entries) as Options;
}

/** The options given as the words of a command line, for another process that reads the same table. */
export function asArguments<Options extends object>(table: OptionTable<Options>, options: Options): string[] {
  const values = options as Readonly<Record<string, unknown>>;
  return Object.entries(table as unknown as AnyOptionTable).flatMap(([key, spec]) => {
    const value = values[key];
    if (value === undefined || value === false || value === spec.default) return [];
    const name = longName(spec);
    if (spec.parse === undefined) return [name];
    // With "=", because a value may begin with a dash.
    return spec.write(value as never).map((word) => `${name}=${word}`);
  });
}
