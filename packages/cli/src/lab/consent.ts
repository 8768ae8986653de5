import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { LabSetupOptions } from "@vfio-selftests/lab";
import type { ConsentOptions } from "./options";

type MayInstall = NonNullable<LabSetupOptions["mayInstall"]>;

/** Who decides whether root installs packages: `--yes`, else a person at the terminal, else nobody. */
export function installConsent(
  { yes }: ConsentOptions,
  input: NodeJS.ReadStream = process.stdin,
  output: NodeJS.WriteStream = process.stderr,
): { mayInstall?: MayInstall } {
  if (yes === true) return { mayInstall: () => true };
  if (!input.isTTY || !output.isTTY) return {};
  return {
    mayInstall: async (packages, command, signal) => {
      const question = `The lab needs packages that are not installed: ${packages.join(" ")}\n  ${command}\nInstall them? [y/N] `;
      return /^\s*y(es)?\s*$/i.test(await ask(question, input, output, signal));
    },
  };
}

/** The line that a person types; empty at the end of the input, and when the signal comes. */
async function ask(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  signal: AbortSignal | undefined,
): Promise<string> {
  // Not in readline's own terminal mode, in which Ctrl-C would be a key like any other.
  const lines = createInterface({ input, output, terminal: false });
  const ended = once(lines, "close").then(() => "");
  try {
    const answer = lines.question(question, signal === undefined ? {} : { signal });
    return await Promise.race([answer.catch(() => ""), ended]);
  } finally {
    lines.close();
  }
}
