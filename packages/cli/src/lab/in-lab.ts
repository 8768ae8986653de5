import {
  DEFAULT_ARCHITECTURE,
  describeMachine,
  labCache,
  type LabOptions,
  parseArchitecture,
  readLabState,
  setupLab,
  TextProgress,
  thisHost,
} from "@vfio-selftests/lab";
import { installConsent } from "./consent";
import { choosesBuild, chosenBuild, machineFor } from "./kernel-choice";
import { describeLackingOptions } from "./kernel-config";
import type { MachineOptions } from "./options";
import { withModels } from "./served-models";

/** Checks the description of the VM, then prepares the lab. Models among the devices run as long as the VM. */
export function inLab<Result>(options: MachineOptions, run: (lab: LabOptions) => Promise<Result>): Promise<Result> {
  return withMachine(options, async (lab) => {
    const lacking = describeLackingOptions(options);
    if (lacking !== undefined) process.stderr.write(`${lacking}\n`);
    await setUpWhenNeeded(options);
    return run(lab);
  });
}

/** Checks the description of the VMs and prepares what they need. `withMachine` then starts them. */
export function prepareLab(options: MachineOptions): Promise<void> {
  return inLab(options, () => Promise.resolve());
}

/** Calls its argument with the checked description of one VM. Serves the models among its devices meanwhile. */
export async function withMachine<Result>(
  options: MachineOptions,
  run: (lab: LabOptions) => Promise<Result>,
): Promise<Result> {
  const { console, yes: _yes, with: _with, source: _source, ...own } = options;
  const build = chosenBuild(options);
  return withModels(build === undefined ? own : machineFor(build, own), async (machine) => {
    describeMachine(machine);
    return run(console === true ? { ...machine, console: process.stderr } : machine);
  });
}

/**
 * The first run prepares what it needs. The first run after a change of our kernel options builds a kernel with them.
 * The progress goes to standard error, so that the run's own output stays clean.
 */
async function setUpWhenNeeded(options: MachineOptions): Promise<void> {
  const { arch, kernel, anyConfig, modules } = options;
  const architecture = arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(arch);
  const state = readLabState(labCache(thisHost(), architecture));
  if (state !== undefined && choosesBuild(options)) return;
  const ownKernel = kernel !== undefined || (state !== undefined && state.fragment === undefined);
  if (state !== undefined && ownKernel) return;
  if (state === undefined) process.stderr.write("The lab is not set up yet; this is done once.\n");
  using progress = new TextProgress(process.stderr);
  const own = { ...(anyConfig && { anyConfig }), ...(modules !== undefined && { modules }) };
  const choice = { arch: architecture.name, ...(kernel === undefined ? {} : { kernel, ...own }) };
  await setupLab({ ...choice, ...installConsent(options) }, progress);
}
