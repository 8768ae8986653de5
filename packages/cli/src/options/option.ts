import { InvalidArgumentError } from "commander";

/**
 * One option of a command. Parser, help, docs/commands.md and the options that `lab run` passes on are made from it.
 */
export interface OptionSpec<T> {
  /** As help shows it: `-d, --device <name...>`. */
  readonly flags: string;
  readonly summary: string;
  /** The value when it is not given. */
  readonly default?: T;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  /** Whether it may be given several times. One that may not is refused, because which of its values would count? */
  readonly repeatable?: boolean;
  /** Parses one value from the command line, given the values before it. Undefined for a flag, which takes no value. */
  readonly parse?: (text: string, previous: T | undefined) => T;
  /** The value as words for a command line, one word for each occurrence. */
  write(value: T): readonly string[];
}

/** A command's options, all of them, by the names that its code uses. */
export type OptionTable<Options> = {
  readonly [Name in keyof Required<Options>]: OptionSpec<Exclude<Options[Name], undefined>>;
};

/** An option without its value's type, for code that walks over the options of any command. */
export interface AnyOption extends Omit<OptionSpec<never>, "default" | "parse" | "write"> {
  readonly default?: string | number | boolean | readonly string[];
  readonly parse?: (text: string, previous: never) => unknown;
  write(value: never): readonly string[];
}

export type AnyOptionTable = Readonly<Record<string, AnyOption>>;

type Extras<T> = Pick<OptionSpec<T>, "default" | "required">;

/** An option without a value: given or not. */
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

/** Several values, separated by commas, by words or by repeated options. */
export function list(flags: string, summary: string): OptionSpec<readonly string[]> {
  const split = (value: string): string[] => {
    const parts = value.split(",").filter((part) => part !== "");
    // An empty `-d "$ADDRESS"` must not mean the same as no `-d`.
    if (parts.length === 0) throw new InvalidArgumentError("A value is expected.");
    return parts;
  };
  return { ...words(flags, summary), parse: (value, previous = []) => [...previous, ...split(value)] };
}

/** Several values that may hold commas. */
export function words(flags: string, summary: string): OptionSpec<readonly string[]> {
  return {
    flags,
    summary,
    repeatable: true,
    parse: (value, previous = []) => [...previous, value],
    write: (values) => values,
  };
}

export interface NumberRange {
  readonly least: number;
  readonly most: number;
  /** How many of the code's units one of the user's makes: 1000 for seconds held as milliseconds. Default 1. */
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

/** The long name of an option, as typed: `--device`. */
export function longName({ flags }: Pick<AnyOption, "flags">): string {
  const name = /--[\w-]+/.exec(flags)?.[0];
  if (name === undefined) throw new Error(`no long name in ${flags}`);
  return name;
}

/** All names of an option, as typed: `-d`, `--device`. */
export function optionNames({ flags }: Pick<AnyOption, "flags">): readonly string[] {
  return flags.match(/(?<=^|, )--?[\w-]+/g) ?? [];
}

/** What help calls the value in `-d, --device <name...>` or `[command...]`: `name...`. Undefined for a flag. */
export function placeholder(usage: string): string | undefined {
  return /[<[](.+)[>\]]/.exec(usage)?.[1];
}

/** Picks one table's options from the options of several tables. */
export function optionsOf<Options extends object>(table: OptionTable<Options>, options: Options): Options {
  const entries = Object.entries(options).filter(([key]) => key in table);
  return Object.fromEntries(entries) as Options;
}

/** The options as words of a command line, for another process that reads the same table. */
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
