import { defineCommand } from "../options/command";
import { DEVICE_FORMS } from "../options/device-forms";
import { list, type OptionTable } from "../options/option";
import type { ExecOptions } from "./on-devices";

const OPTIONS: OptionTable<ExecOptions> = {
  // One value for each -d: the words after it are the command, with or without --.
  device: { ...list("-d, --device <device>", `${DEVICE_FORMS}; may be repeated`), required: true },
};

const BACK =
  "vfio-pci has the devices until the end, then they go back to their drivers, also when this command is killed. A device that\n" +
  "vfio-pci had before stays with it.";

export const execCommand = defineCommand<ExecOptions>({
  argument: { usage: "<command...>", summary: "program and arguments, after --" },
  usage: "-d DEVICE [-d DEVICE] -- command...",
  options: OPTIONS,
  notes: [
    "The program finds the addresses in VFIO_SELFTESTS_BDF, separated by spaces, has this terminal, and gets the signals that this\n" +
      "command gets.",
    BACK,
    "The exit code is the program's: 128 + n after signal n, 127 where it cannot be started.",
  ],
  run: async (command, options) => (await import("./on-devices.js")).execute(command, options),
});

export const shellCommand = defineCommand<ExecOptions>({
  options: OPTIONS,
  notes: [
    "The shell is $SHELL, else /bin/sh. It finds the addresses in VFIO_SELFTESTS_BDF, separated by spaces.",
    BACK,
  ],
  run: async (_args, options) => (await import("./on-devices.js")).openShell(options),
});
