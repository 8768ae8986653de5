import type { AnyOptionTable, OptionTable } from "./option";

export interface ArgumentSpec {
  /** As help shows it: `<address...>`, `[command...]`. */
  readonly usage: string;
  readonly summary: string;
  readonly choices?: readonly string[];
}

/** What a command takes and does. */
export interface CommandSpec<Options> {
  readonly argument?: ArgumentSpec;
  readonly options: OptionTable<Options>;
  /** After `vfio-selftests` and the command's name, where the usual `[options] <argument>` does not tell it. */
  readonly usage?: string;
  /** What help and reference say after the options, a paragraph each. */
  readonly notes?: readonly string[];
  /** Gives the process's exit code. */
  run(args: readonly string[], options: Options): Promise<number>;
}

/** A command without the type of its options. */
export interface AnyCommand extends Omit<CommandSpec<object>, "options"> {
  readonly options: AnyOptionTable;
  run(args: readonly string[], options: object): Promise<number>;
}

/** Checks a command against its options' type and forgets that. */
export function defineCommand<Options extends object>(spec: CommandSpec<Options>): AnyCommand {
  return spec as unknown as AnyCommand;
}

/** A command by its name; the rest is loaded when it is called for. */
export interface CommandEntry {
  /** `list`, `lab run`. */
  readonly name: string;
  readonly summary: string;
  load(): Promise<AnyCommand>;
}
