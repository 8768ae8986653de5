import { defineCommand } from "../options/command";
import { DEVICE_FORMS } from "../options/device-forms";
import { list, text } from "../options/option";
import type { ReplOptions } from "./run-repl";

export const replCommand = defineCommand<ReplOptions>({
  argument: {
    usage: "<device>",
    summary: `${DEVICE_FORMS}, vfio-user:SOCKET, or model:NAME (ioat, dsa, nv-falcon, capabilities, a path or package of your own)`,
  },
  options: {
    mode: text("--mode <mode>", "the IOMMU mode in which a device of the kernel is opened (default: auto)"),
    driver: list("--driver <name...>", "drivers whose register names to use (default: those that are installed)"),
  },
  notes: [
    "The device is open, and `device`, `regs`, `bars`, `config`, `dma(size)`, `interrupts` and more are there: .help lists them. The " +
      "language is JavaScript, with `await`.",
    "On a terminal it keeps a history in $XDG_STATE_HOME/vfio-selftests/repl-history. Elsewhere it reads lines from standard input and " +
      "prints what each gives; the exit code is 1 if one of them threw.",
  ],
  run: async ([device = ""], options) => (await import("./run-repl.js")).runRepl(device, options),
});
