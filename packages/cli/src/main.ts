#!/usr/bin/env node
import { runCommandLine } from "./command-line";
import { ExitCode } from "./exit-codes";

// `| head` has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(ExitCode.failed);
});

void runCommandLine(process.argv.slice(2)).then((code) => {
  // Not `process.exitCode`: a device's open handle must not keep a finished command alive.
  process.exit(code);
});
