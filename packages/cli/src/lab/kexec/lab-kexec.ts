import { join } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import { runInLab } from "@vfio-selftests/lab";
import { asArguments, optionsOf } from "../../options/option";
import { SUITE_OPTIONS } from "../../run/options";
import type { SuiteOptions } from "../../run/run-options";
import { readConsole, tellReports } from "../guest-console";
import { inLab } from "../in-lab";
import { MACHINE_OPTIONS, type MachineOptions } from "../options";
import type { KexecOptions } from "./options";
import { stageCommands } from "./stage-commands";

/** What makes the kernel's Live Update Orchestrator work (Documentation/admin-guide/kernel-parameters.txt). */
const PARAMETERS = ["kho=on", "liveupdate=on"];

/** The tests that span two kernels, and those of the interface on each. */
const TESTS = "liveupdate";

const RUN_PROGRAM = join(__dirname, "..", "..", "main.js");

/** `lab kexec`: a command on one kernel, a jump into another, and a command there, in one VM. */
export async function labKexec(words: readonly string[], options: KexecOptions): Promise<number> {
  const suites = optionsOf<Partial<SuiteOptions>>(SUITE_OPTIONS, options);
  const commands = stageCommands(words);
  const given = asArguments<Partial<SuiteOptions>>(SUITE_OPTIONS, suites).join(" ");
  if (commands !== undefined && given !== "") {
    throw argumentError("lab kexec", "option", given, "no option of the suites beside commands");
  }
  const run = [process.execPath, RUN_PROGRAM, "run"];
  const suiteRun = [...run, ...asArguments<Partial<SuiteOptions>>(SUITE_OPTIONS, { test: TESTS, ...suites })];
  const { first, next } = commands ?? { first: suiteRun, next: suiteRun };

  const { kernel, from, timeoutMs, ...rest } = options;
  const machine: MachineOptions = {
    ...optionsOf<MachineOptions>(MACHINE_OPTIONS, rest),
    ...(from === undefined ? {} : { kernel: from }),
    kernelParameters: [...PARAMETERS, ...(options.kernelParameters ?? [])],
  };
  return inLab(machine, async (lab) => {
    tell("stage 1 runs on the first kernel");
    const stage = {
      command: next,
      ...(kernel === undefined ? {} : { kernel }),
      onJump: (image: string) => tell(`stage 1 succeeded; the kernel jumps into ${image}`),
      onArrival: (ms: number) => tell(`stage 2 runs on the next kernel, ${(ms / 1000).toFixed(1)} s after the jump`),
    };
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    const result = await runInLab({ ...lab, ...limit, command: first, next: stage });
    const { exitCode, jumped } = result;
    tell(jumped ? `stage 2 ended with status ${exitCode}` : `stage 1 ended with status ${exitCode}: no jump`);
    return tellReports(readConsole(result.consoleLog)?.reports ?? [], exitCode);
  });
}

/** Progress goes to standard error, so that the commands' own output stays clean. */
function tell(line: string): void {
  process.stderr.write(`lab kexec: ${line}\n`);
}
