import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { wrapText } from "../terminal/wrap-text";
import type { AnyCommand, CommandEntry } from "./command";
import type { AnyOption, AnyOptionTable } from "./option";

/** Adds a command to the program. Without `command`, it adds only the command's line in the help. */
export function addCommand(
  program: Command,
  { name, summary }: CommandEntry,
  command: AnyCommand | undefined,
  groups: Readonly<Record<string, string>>,
  act: (code: Promise<number>) => void,
): void {
  const words = name.split(" ");
  const own = words.at(-1) ?? "";
  const parent = words.length === 1 ? program : groupOf(program, words[0] ?? "", groups);
  const added = parent.command(own).description(summary);
  if (command === undefined) return;
  const { argument, options, notes = [] } = command;
  if (command.usage !== undefined) added.usage(command.usage);
  if (argument !== undefined) added.addArgument(commanderArgument(argument));
  for (const spec of Object.values(options)) added.addOption(commanderOption(spec));
  if (notes.length > 0) added.addHelpText("after", `\n${notes.map(wrapLines).join("\n\n")}`);
  added.action(() => {
    const values = valuesOf(added, options);
    // commander passes a variadic argument as one array.
    act(command.run(added.processedArgs.flat().filter(isText), values));
  });
}

function wrapLines(note: string): string {
  return note
    .split("\n")
    .flatMap((line) => wrapText("", line))
    .join("\n");
}

function groupOf(program: Command, name: string, groups: Readonly<Record<string, string>>): Command {
  const found = program.commands.find((command) => command.name() === name);
  return found ?? program.command(name).description(groups[name] ?? "");
}

function commanderArgument({ usage, summary, choices }: NonNullable<AnyCommand["argument"]>): Argument {
  const argument = new Argument(usage, summary);
  return choices === undefined ? argument : argument.choices(choices);
}

function commanderOption(spec: AnyOption): Option {
  const option = new Option(spec.flags, spec.summary);
  if (spec.choices !== undefined) option.choices(spec.choices);
  if (spec.parse !== undefined) option.argParser(oncePerOption(spec.parse, spec.repeatable ?? false));
  if (spec.default !== undefined) option.default(spec.default);
  return option.makeOptionMandatory(spec.required ?? false);
}

type Parse = (text: string, previous: unknown) => unknown;

function oncePerOption(parse: (text: string, previous: never) => unknown, repeatable: boolean): Parse {
  let before: string | undefined;
  return (text, previous) => {
    if (before !== undefined && !repeatable) {
      throw new InvalidArgumentError(`It takes one value, and was given ${JSON.stringify(before)} already.`);
    }
    before = text;
    return (parse as Parse)(text, previous);
  };
}

/** The values under the table's names. commander names them after the flags. */
function valuesOf(command: Command, table: AnyOptionTable): object {
  const values = Object.entries(table).map(([key, spec]) => {
    const value: unknown = command.getOptionValue(new Option(spec.flags).attributeName());
    return [key, value] as const;
  });
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
