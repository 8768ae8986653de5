import { join } from "node:path";
import {
  TextProgress,
  labCache,
  readLabState,
  runInLab,
  setupLab,
  shellInLab,
  thisHost,
  type LabMachineOptions,
} from "@vfio-selftests/lab";
import { ExitCode } from "../exit-codes";
import { serveModels } from "./served-models";
import type { LabRunCommandOptions, MachineOptions, SetupOptions } from "../commands/lab";

/** `lab setup` */
export async function labSetup(options: SetupOptions): Promise<number> {
  using progress = new TextProgress();
  const lab = await setupLab(options, progress);
  console.log(`${lab.changed ? "ready" : "ready already"}: kernel ${lab.kernel}`);
  return ExitCode.ok;
}

/** `lab run`: without a command this program's `run`, on the VM's devices, with the options given. */
export async function labRun(
  command: readonly string[],
  options: LabRunCommandOptions,
  suiteArguments: readonly string[],
): Promise<number> {
  await setUpWhenNeeded(options);
  const program = [process.execPath, join(__dirname, "..", "main.js"), "run", ...suiteArguments];
  return withModels(options, async (machine) => {
    const { exitCode } = await runInLab({
      ...machine,
      ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout * 1000 }),
      command: command.length > 0 ? command : program,
    });
    return exitCode;
  });
}

/** `lab shell` */
export async function labShell(options: MachineOptions): Promise<number> {
  await setUpWhenNeeded(options);
  return withModels(options, async (machine) => (await shellInLab(machine)).exitCode);
}

/** Models among the devices live as long as the VM. */
async function withModels(
  options: MachineOptions,
  run: (machine: LabMachineOptions) => Promise<number>,
): Promise<number> {
  const models = await serveModels(options.device ?? []);
  try {
    return await run(machineOf(options.device === undefined ? options : { ...options, device: models.devices }));
  } finally {
    await models.close();
  }
}

/**
 * The first run prepares what it needs, and one after a change of our kernel options builds a kernel with them; on
 * standard error, so that the run's own output stays clean.
 */
async function setUpWhenNeeded({ kernel }: MachineOptions): Promise<void> {
  const state = readLabState(labCache(thisHost()));
  const ownKernel = kernel !== undefined || (state !== undefined && state.fragment === undefined);
  if (state !== undefined && ownKernel) return;
  if (state === undefined) process.stderr.write("The lab is not set up yet; this is done once.\n");
  using progress = new TextProgress(process.stderr);
  await setupLab(kernel === undefined ? {} : { kernel }, progress);
}

function machineOf({ device, iommu, kernel, memory, cpus, append, console }: MachineOptions): LabMachineOptions {
  return {
    ...(device === undefined ? {} : { devices: device }),
    ...(iommu === undefined ? {} : { iommu }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(memory === undefined ? {} : { memoryMiB: memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(append === undefined ? {} : { kernelParameters: append }),
    ...(console === true ? { console: process.stderr } : {}),
  };
}
