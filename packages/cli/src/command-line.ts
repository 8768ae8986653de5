import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { addBindCommands } from "./commands/bind";
import { addLabCommand } from "./commands/lab";
import { addListCommand } from "./commands/list";
import { addModelCommand } from "./commands/model";
import { addRestoreCommand } from "./commands/restore";
import { addRunCommand } from "./commands/run";
import { addUpstreamCommand } from "./commands/upstream";
import { ExitCode } from "./exit-codes";
import { reportError } from "./report-error";

/** A command's action: what it gives is the process's exit code. */
export type Action = (promise: Promise<number>) => void;

/** Runs the program with these arguments; gives the exit code. Never throws, never ends the process. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let code: Promise<number> = Promise.resolve(ExitCode.ok);
  const program = createProgram((promise) => {
    code = promise;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return await code;
  } catch (error) {
    // Help and version are no errors; commander has printed its own ones.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    return reportError(error, (text) => process.stderr.write(text));
  }
}

function createProgram(act: Action): Command {
  const program = new Command("vfio-selftests")
    .description("Tests of Linux VFIO, IOMMUFD and the IOMMU drivers under them")
    .version(version(), "-V, --version")
    .showHelpAfterError("(--help tells the options)")
    .enablePositionalOptions()
    .exitOverride();
  addRunCommand(program, act);
  addListCommand(program, act);
  addBindCommands(program, act);
  addRestoreCommand(program, act);
  addLabCommand(program, act);
  addUpstreamCommand(program, act);
  addModelCommand(program, act);
  program.addHelpText(
    "after",
    "\nExit codes: 0 all that ran passed, 1 a failure, 2 wrong usage, 4 nothing ran (no device, or all skipped).",
  );
  return program;
}

function version(): string {
  const text = readFileSync(join(__dirname, "..", "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
