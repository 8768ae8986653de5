import { defineCommand } from "../options/command";
import { tellError } from "../report-error";
import { withBisectStatus } from "../run/bisect-status";
import {
  LAB_RUN_OPTIONS,
  type LabRunOptions,
  MACHINE_OPTIONS,
  type MachineOptions,
  SETUP_OPTIONS,
  type SetupOptions,
} from "./options";

const FILES =
  "The VM sees the machine's whole file tree. What it writes stays in its memory and is gone at its end,\n" +
  "except below the current folder and the folders of --rw";

export const labSetupCommand = defineCommand<SetupOptions>({
  options: SETUP_OPTIONS,
  run: async (_args, options) => (await import("./lab-commands.js")).labSetup(options),
});

export const labRunCommand = defineCommand<LabRunOptions>({
  argument: { usage: "[command...]", summary: "program and arguments, after --" },
  usage: "[options] [-- command...]",
  options: LAB_RUN_OPTIONS,
  notes: [`${FILES} and --output.`, "The options of `run` go to the `run` in the VM."],
  run: async (command, options) =>
    withBisectStatus(
      options.bisect,
      async () => (await import("./lab-commands.js")).labRun(command, options),
      tellError,
    ),
});

export const labShellCommand = defineCommand<MachineOptions>({
  options: MACHINE_OPTIONS,
  notes: [`${FILES}.`],
  run: async (_args, options) => (await import("./lab-commands.js")).labShell(options),
});
