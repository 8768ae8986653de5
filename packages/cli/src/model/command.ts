import { defineCommand } from "../options/command";
import { text } from "../options/option";

export const modelServeCommand = defineCommand<{ readonly socket: string }>({
  argument: { usage: "<name>", summary: "the model", choices: ["ioat", "dsa"] },
  options: { socket: text("--socket <path>", "Unix socket to listen on", { required: true }) },
  run: async ([name = ""], options) => (await import("./serve-model.js")).serveModel(name, options),
});
