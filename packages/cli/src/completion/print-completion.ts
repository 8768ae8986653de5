import { argumentError } from "@vfio-selftests/core/errors";
import { ExitCode } from "../exit-codes";
import type { CommandEntry } from "../options/command";
import { bashCompletion } from "./bash-completion";
import { type CompletedCommand, completedCommands } from "./completed-command";
import { fishCompletion } from "./fish-completion";
import { zshCompletion } from "./zsh-completion";

const SCRIPTS: Readonly<Record<string, (commands: readonly CompletedCommand[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** The `completion` command. The parser has checked the shell's name. */
export async function printCompletion(shell: string, entries: readonly CommandEntry[]): Promise<number> {
  const script = SCRIPTS[shell];
  if (script === undefined) throw argumentError("completion", "shell", shell, Object.keys(SCRIPTS).join(", "));
  process.stdout.write(script(await completedCommands(entries)));
  return ExitCode.ok;
}
