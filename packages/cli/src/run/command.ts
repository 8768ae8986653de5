import { defineCommand } from "../options/command";
import { tellError } from "../report-error";
import { withBisectStatus } from "./bisect-status";
import { RUN_OPTIONS } from "./options";
import type { RunOptions } from "./run-options";

export const runCommand = defineCommand<RunOptions>({
  options: RUN_OPTIONS,
  run: async (_args, options) =>
    withBisectStatus(options.bisect, async () => (await import("./run-suites.js")).runSuites(options), tellError),
});
