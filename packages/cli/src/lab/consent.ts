import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { LabSetupOptions } from "@vfio-selftests/lab";
import type { ConsentOptions } from "./options";

type MayInstall = NonNullable<LabSetupOptions["mayInstall"]>;

/**
 * Asks whether root may install packages. `--yes` is a yes; else a person at the terminal decides; without one it is a
 * no.
 */
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

/** The line that a person types. It is empty at the end of the input, and when the signal comes. */
async function ask(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  signal: AbortSignal | undefined,
): Promise<string> {
  // Without readline's own terminal mode, in which Ctrl-C would not send a signal.
  const lines = createInterface({ input, output, terminal: false });
  const ended = once(lines, "close").then(() => "");
  try {
    const answer = lines.question(question, signal === undefined ? {} : { signal });
    return await Promise.race([answer.catch(() => ""), ended]);
  } finally {
    lines.close();
  }
}
