#!/usr/bin/env node
import { runCommandLine } from "./command-line";

void runCommandLine(process.argv.slice(2)).then((code) => {
  // Not `process.exitCode`: a device's open handle must not keep a finished command alive.
  process.exit(code);
});
