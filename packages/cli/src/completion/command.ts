import { defineCommand } from "../options/command";

const SHELLS = ["bash", "zsh", "fish"] as const;

export const completionCommand = defineCommand({
  argument: { usage: "<shell>", summary: "the shell", choices: SHELLS },
  options: {},
  notes: [
    "In the shell's start-up file, or once in the shell:\n\n" +
      '- bash: `eval "$(vfio-selftests completion bash)"`\n' +
      '- zsh, after compinit: `eval "$(vfio-selftests completion zsh)"`\n' +
      "- fish: `vfio-selftests completion fish | source`",
  ],
  run: async ([shell = ""]) => (await import("./print-completion.js")).printCompletion(shell),
});
