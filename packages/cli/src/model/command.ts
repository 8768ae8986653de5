import { Argument, type Command } from "commander";
import type { Action } from "../command-line";

export function addModelCommand(program: Command, act: Action): void {
  const model = program.command("model").description("device models in software");
  model
    .command("serve")
    .description("serve a device model by vfio-user, for QEMU's vfio-user-pci or any other client, until interrupted")
    .addArgument(new Argument("<name>", "the model").choices(["ioat", "dsa"]))
    .requiredOption("--socket <path>", "Unix socket to listen on")
    .action((name: string, options: { socket: string }) => {
      act(import("../model/serve-model.js").then(({ serveModel }) => serveModel(name, options)));
    });
}
