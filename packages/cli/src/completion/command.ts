import { type AnyCommand, type CommandEntry, defineCommand } from "../options/command";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** The command that completes these commands. It is one of them, so they come as an argument. */
export const completionOf = (commands: readonly CommandEntry[]): AnyCommand =>
  defineCommand({
    argument: { usage: `<${SHELLS.join("|")}>`, summary: "the shell", choices: SHELLS },
    options: {},
    notes: [
      "In the shell's start-up file, or once in the shell:\n\n" +
        '- bash: `eval "$(vfio-selftests completion bash)"`\n' +
        '- zsh, after compinit: `eval "$(vfio-selftests completion zsh)"`\n' +
        "- fish: `vfio-selftests completion fish | source`",
    ],
    run: async ([shell = ""]) => (await import("./print-completion.js")).printCompletion(shell, commands),
  });
