import { defineCommand } from "../options/command";
import { RUN_OPTIONS } from "./options";
import type { RunOptions } from "./run-options";

export const runCommand = defineCommand<RunOptions>({
  options: RUN_OPTIONS,
  run: async (_args, options) => (await import("./run-suites.js")).runSuites(options),
});
