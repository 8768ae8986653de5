import { argumentError } from "@vfio-selftests/core/errors";

/** The commands of both stages. */
export interface StageCommands {
  readonly first: readonly string[];
  readonly next: readonly string[];
}

/** Splits the words after `--` at the `--` between them. Undefined where there are none. */
export function stageCommands(words: readonly string[]): StageCommands | undefined {
  if (words.length === 0) return undefined;
  const separator = words.indexOf("--");
  const [first, next] = [words.slice(0, separator), words.slice(separator + 1)];
  if (separator > 0 && next.length > 0) return { first, next };
  throw argumentError(
    "lab kexec",
    "commands",
    words.join(" "),
    "two commands, each after a --: the first kernel's, and the next one's",
  );
}
