import { InvalidArgumentError, Option, type Command } from "commander";
import type { Action } from "../command-line";
import type { ServeModelOptions } from "../model/serve-model";

export function addModelCommand(program: Command, act: Action): void {
  const model = program.command("model").description("device models in software");
  model
    .command("serve")
    .description("serve a device model by vfio-user, for QEMU's vfio-user-pci or any other client, until interrupted")
    .argument("<model>", "ioat, dsa, or a model of your own: a file or an installed package that exports createModel")
    .addOption(new Option("--socket <path>", "Unix socket to listen on").conflicts(["socketPath", "fd"]))
    .addOption(new Option("--socket-path <path>", "the same, as other vfio-user servers call it").conflicts("fd"))
    .option("--fd <number>", "serve an inherited Unix socket, one that listens or a client's connection", descriptor)
    .option("--trust", "map memory that its client could truncate, too; a client that does so ends this server")
    .addHelpText("after", "\nOne of --socket, --socket-path and --fd is required.")
    .action((name: string, options: Options, self: Command) => {
      const socketPath = options.socket ?? options.socketPath;
      if (socketPath === undefined && options.fd === undefined) {
        self.error("error: one of --socket <path>, --socket-path <path> and --fd <number> is required");
      }
      const given: ServeModelOptions = { socketPath, fd: options.fd, trust: options.trust === true };
      act(import("../model/serve-model.js").then(({ serveModel }) => serveModel(name, given)));
    });
}

interface Options {
  readonly socket?: string;
  readonly socketPath?: string;
  readonly fd?: number;
  readonly trust?: boolean;
}

function descriptor(value: string): number {
  const number = Number(value);
  if (value.trim() !== "" && Number.isInteger(number) && number >= 0 && number < 2 ** 31) return number;
  throw new InvalidArgumentError("The number of an open descriptor is expected.");
}
