import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { COMMAND_GROUPS, COMMANDS } from "./commands";
import { EXIT_CODE_MEANINGS, ExitCode } from "./exit-codes";
import { addCommand } from "./options/parser";
import { tellError } from "./report-error";
import { usageStatus } from "./run/bisect-status";
import { wrapText } from "./terminal/wrap-text";

/** Runs the program with these arguments and returns the exit code. Never throws and never ends the process. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let code: Promise<number> = Promise.resolve(ExitCode.ok);
  try {
    const program = await createProgram(args, (promise) => {
      code = promise;
    });
    await program.parseAsync(args, { from: "user" });
    return await code;
  } catch (error) {
    // Commander throws for help and version, too, which are no errors. Its real errors it has printed already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : usageStatus(args);
    return tellError(error);
  }
}

/** Loads only the commands that the arguments name. The help has a line for each of the others. */
async function createProgram(args: readonly string[], act: (code: Promise<number>) => void): Promise<Command> {
  const program = new Command("vfio-selftests")
    .description("Tests of Linux VFIO, IOMMUFD and the IOMMU drivers under them")
    .version(version(), "-V, --version")
    .showHelpAfterError("(--help tells what is allowed)")
    .enablePositionalOptions()
    .exitOverride();
  const named = args.filter((word) => !word.startsWith("-") && word !== "help")[0];
  for (const entry of COMMANDS) {
    const isNamed = entry.name.split(" ")[0] === named;
    addCommand(program, entry, isNamed ? await entry.load() : undefined, COMMAND_GROUPS, act);
  }
  const codes = EXIT_CODE_MEANINGS.map(([code, meaning]) => `${code} ${meaning}`);
  program.addHelpText("after", `\n${wrapText("Exit codes: ", `${codes.join(", ")}.`).join("\n")}`);
  return program;
}

function version(): string {
  const text = readFileSync(join(__dirname, "..", "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
