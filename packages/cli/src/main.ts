#!/usr/bin/env node
import { runCommandLine } from "./command-line";
import { ExitCode } from "./exit-codes";

// The reader, for example `| head`, has closed the pipe.
process.stdout.on("error", ({ code = "unknown" }: NodeJS.ErrnoException) => {
  if (code !== "EPIPE") tellLostOutput(code);
  process.exit(ExitCode.failed);
});

void runCommandLine(process.argv.slice(2)).then(async (code) => {
  // Node writes to files and terminals at once. Into a full pipe it writes the rest when the reader has made room.
  await new Promise((resolve) => process.stdout.write("", resolve));
  // Bytes that are left could not be written (a full disk).
  const { writableLength, errored } = process.stdout;
  const lost = writableLength > 0 || errored !== null;
  if (lost) tellLostOutput("a part is lost");
  // Not `process.exitCode`, because a device's open handle must not keep a finished command alive.
  process.exit(lost ? ExitCode.failed : code);
});

function tellLostOutput(why: string): void {
  process.stderr.write(`vfio-selftests: cannot write to standard output: ${why}\n`);
}
