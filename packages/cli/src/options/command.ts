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
  /** Text after `vfio-selftests` and the command's name, where the usual `[options] <argument>` is not enough. */
  readonly usage?: string;
  /** Paragraphs that help and reference show after the options. */
  readonly notes?: readonly string[];
  /** Returns the process's exit code. */
  run(args: readonly string[], options: Options): Promise<number>;
}

/** A command without the type of its options. */
export interface AnyCommand extends Omit<CommandSpec<object>, "options"> {
  readonly options: AnyOptionTable;
  run(args: readonly string[], options: object): Promise<number>;
}

/** Checks a command against its options' type, then drops the type. */
export function defineCommand<Options extends object>(spec: CommandSpec<Options>): AnyCommand {
  return spec as unknown as AnyCommand;
}

/** A command's name and summary. The rest is loaded when the command is called. */
export interface CommandEntry {
  /** `list`, `lab run`. */
  readonly name: string;
  readonly summary: string;
  load(): Promise<AnyCommand>;
}
