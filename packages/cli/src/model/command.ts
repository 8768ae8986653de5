import { argumentError } from "@vfio-selftests/core/errors";
import { defineCommand } from "../options/command";
import { count, flag, text } from "../options/option";

interface ModelServeOptions {
  readonly socket?: string;
  readonly socketPath?: string;
  readonly fd?: number;
  readonly trust?: boolean;
}

/** The largest number that a descriptor can have. */
const LAST_DESCRIPTOR = 2 ** 31 - 1;

export const modelServeCommand = defineCommand<ModelServeOptions>({
  argument: {
    usage: "<model>",
    summary:
      "ioat, dsa, nv-falcon (also -GENERATION), capabilities (also -pcix1, -pcix2), or a model of your own: a file or an installed package that exports createModel",
  },
  options: {
    socket: text("--socket <path>", "Unix socket to listen on"),
    socketPath: text("--socket-path <path>", "the same, as other vfio-user servers call it"),
    fd: count("--fd <number>", "serve an inherited Unix socket, one that listens or a client's connection", {
      least: 0,
      most: LAST_DESCRIPTOR,
    }),
    trust: flag("--trust", "map even memory that its client could truncate; such a client can end this server"),
  },
  notes: ["One of --socket, --socket-path and --fd is required."],
  run: async ([name = ""], { socket, socketPath, fd, trust = false }) => {
    const given = [socket, socketPath, fd].filter((value) => value !== undefined);
    if (given.length !== 1) {
      const several = given.length === 0 ? undefined : given.join(" and ");
      throw argumentError("model serve", "socket", several, "one of --socket, --socket-path and --fd");
    }
    const { serveModel } = await import("./serve-model.js");
    return serveModel(name, { socketPath: socket ?? socketPath, fd, trust });
  },
});
