import { Command } from "commander";
import { COMMANDS } from "../../commands";
import { addCommand } from "../../options/parser";

/** What an engine or a shell puts in place of these words. */
const VALUES: readonly (readonly [RegExp, string])[] = [
  [/\$\{\{ matrix\.mode \}\}/g, "iommufd"],
  [/\$\{\{ matrix\.shard \}\}|\$\(\(JOB_COMPLETION_INDEX \+ 1\)\)|\$shard\b/g, "1"],
  [/\$command\b/g, "run"],
  [/\$SHARDS/g, "8"],
  [/"\$@"|\$OPTIONS\b/g, ""],
  [/\$\w+/g, "x"],
];

/** A comment, an operator of the shell, or a word with its quotes. */
const TOKEN = /(?<=^|\s)#.*|[|&;<>]+|(?:'[^']*'|"[^"]*"|\\.|[^\s'"|&;<>])+/g;
const OPERATOR = /^[|&;<>]/;

/** The words of each call of our command. */
export function callsIn(text: string): readonly (readonly string[])[] {
  return text
    .replace(/\\\n/g, " ")
    .split("\n")
    .map((line) => VALUES.reduce((words, [variable, value]) => words.replace(variable, value), line))
    .flatMap(callsInLine);
}

function callsInLine(line: string): readonly (readonly string[])[] {
  const tokens = (line.match(TOKEN) ?? []).filter((token) => !token.startsWith("#"));
  return tokens.flatMap((token, index) => {
    const isCall = token === "vfio-selftests" || (token === "vfio" && tokens[index - 1] === "pnpm");
    const rest = tokens.slice(index + 1);
    const end = rest.findIndex((next) => OPERATOR.test(next));
    const words = end < 0 ? rest : rest.slice(0, end);
    return isCall && words.length > 0 ? [words.map((word) => word.replace(/["']/g, ""))] : [];
  });
}

/** Parses the words as the command does, and runs nothing. */
export async function parse(words: readonly string[]): Promise<void> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const entry of COMMANDS) {
    const command = { ...(await entry.load()), run: () => Promise.resolve(0) };
    addCommand(program, entry, command, {}, () => undefined);
  }
  const settle = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    command.commands.forEach(settle);
  };
  settle(program);
  await program.parseAsync(words, { from: "user" });
}
