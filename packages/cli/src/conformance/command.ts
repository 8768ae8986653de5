import { defineCommand } from "../options/command";
import { choice, count, flag, pattern, text } from "../options/option";
import { REPORTERS } from "../run/options";
import type { ConformanceOptions } from "./options";

export const conformanceCommand = defineCommand<ConformanceOptions>({
  argument: {
    usage: "[command...]",
    summary:
      "after --, the program to check, which this command starts and starts again; {socket} stands for the socket",
  },
  options: {
    server: text("--server <socket>", "check the server that listens there: this command is its client"),
    client: flag("--client", "check the client that comes: this command is its server"),
    socketPath: text("--socket-path <path>", "with --client, where to listen (default: a new folder)"),
    model: choice("--model <model>", "with --client, the device that is served (default: ioat)", [
      "ioat",
      "dsa",
      "nv-falcon",
    ]),
    test: pattern("-t, --test <pattern>", "make the checks whose id matches this regular expression"),
    list: flag("--list", "list the checks and their sections of the specification instead"),
    timeoutMs: count(
      "--timeout <seconds>",
      "with --client, how long to wait for the client, and for its end (default: 60)",
      {
        least: 1,
        most: 24 * 3600,
        unit: 1000,
      },
    ),
    reporter: choice("--reporter <name>", "how to report", REPORTERS, { default: "default" }),
    output: text("--output <file>", "write the report there"),
  },
  usage: "--server SOCKET | --client [-- command...]",
  notes: [
    "One of --server and --client is required. The specification is QEMU's docs/interop/vfio-user.rst, and a check's section is a " +
      "title there.",
    "A server is checked by some hundred short connections. A server that ends with its client, as the specification allows, " +
      "must be started by this command: `-- ./server {socket}`.",
    "A client is judged by what it says. With a command it is started once for each fault of a server that it must survive.",
  ],
  run: async (command, options) => (await import("./conformance.js")).conformance(command, options),
});
