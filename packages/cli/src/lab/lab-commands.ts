import { accessSync, constants, lstatSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { argumentError, Errno, errnoName, systemError } from "@vfio-selftests/core/errors";
import { findMode } from "@vfio-selftests/iommu-modes";
import {
  buildLabKernel,
  describeMachine,
  kernelVariants,
  LAB_LIMITS,
  labCache,
  type LabOptions,
  publishedFragment,
  readLabState,
  runInLab,
  setupLab,
  shellInLab,
  TextProgress,
  thisHost,
} from "@vfio-selftests/lab";
import { countingKernel, withCounters } from "../coverage/counting-kernel";
import { ExitCode } from "../exit-codes";
import { asArguments, optionsOf } from "../options/option";
import { SUITE_OPTIONS } from "../run/options";
import { namedTarget } from "../run/run-options";
import { findDrivers } from "../target/find-drivers";
import { installConsent } from "./consent";
import { gdbCommand } from "./gdb";
import { choosesBuild, chosenBuild, findVmlinux, machineFor } from "./kernel-choice";
import {
  type GdbOptions,
  type KernelConfigOptions,
  type LabRunOptions,
  MACHINE_OPTIONS,
  type MachineOptions,
  type SetupOptions,
  type SuiteOptions,
} from "./options";
import { serveModels } from "./served-models";

/** `lab setup` */
export async function labSetup({ yes, with: variants, source, ...options }: SetupOptions): Promise<number> {
  using progress = new TextProgress();
  const consent = installConsent({ ...(yes && { yes }) });
  if (variants !== undefined || source !== undefined) {
    const { kernel, ...rest } = options;
    if (kernel !== undefined) throw argumentError("lab setup", "kernel", kernel, "no image where one is to be built");
    const built = await buildLabKernel({ ...rest, ...consent, variants: variants ?? [], tree: source }, progress);
    console.log(`ready: kernel ${built.image}`);
    return ExitCode.ok;
  }
  const lab = await setupLab({ ...options, ...consent }, progress);
  console.log(`${lab.changed ? "ready" : "ready already"}: kernel ${lab.kernel}`);
  return ExitCode.ok;
}

/** `lab run`: without a command this program's `run`, on the VM's devices, with the options given. */
export async function labRun(command: readonly string[], options: LabRunOptions): Promise<number> {
  const suiteArguments = asArguments<SuiteOptions>(SUITE_OPTIONS, options);
  if (command.length > 0 && suiteArguments.length > 0) {
    throw argumentError("lab run", "option", suiteArguments.join(" "), "no option of the suites beside a command");
  }
  if (command.length === 0) await checkSuites(options);
  if (options.changed !== undefined) return runChanged(command, options, options.changed);
  if (options.coverage === true) return runCovered(command, options);
  return runMachine(command, options);
}

/** The tests that concern what a kernel tree has changed, on that tree's kernel. */
async function runChanged(
  command: readonly string[],
  { changed: _changed, ...options }: LabRunOptions,
  ref: string,
): Promise<number> {
  if (command.length > 0)
    throw argumentError("lab run", "changed", ref, "no command beside it: it chooses among the tests");
  const source = options.source ?? process.cwd();
  const { unconcernedTests } = await import("../coverage/patch-tests.js");
  const known = countingKernel({ source });
  const { reaching, others } = unconcernedTests(known, source, ref);
  process.stderr.write(`${reaching.length} of ${reaching.length + others.length} measured tests reach the changes\n`);
  const folder = mkdtempSync(join(tmpdir(), "vfio-lab-except-"));
  try {
    const except = join(folder, "ids");
    writeFileSync(except, others.map((id) => `${id}\n`).join(""));
    const kernel = options.kernel === undefined && !choosesBuild(options) ? { source, with: ["gcov"] } : {};
    // The VM has a /tmp of its own.
    const writable = [...(options.writable ?? []), folder];
    return await labRun(command, { ...options, ...kernel, except, writable });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Keeps what the kernel runs in each test, or in the command. */
async function runCovered(
  command: readonly string[],
  { coverage: _coverage, ...options }: LabRunOptions,
): Promise<number> {
  const counting = withCounters(options);
  const { CoverageRun } = await import("../coverage/coverage-run.js");
  using run = new CoverageRun(countingKernel(counting));
  const writable = [...(options.writable ?? []), run.folder];
  const whole = command.length > 0 ? { command: run.around(command) } : { command, gcov: run.folder };
  const code = await runMachine(whole.command, { ...counting, ...whole, writable });
  await run.finish((text) => process.stdout.write(text));
  return code;
}

async function runMachine(command: readonly string[], options: LabRunOptions): Promise<number> {
  const suiteArguments = asArguments<SuiteOptions>(SUITE_OPTIONS, options);
  const program = [process.execPath, join(__dirname, "..", "main.js"), "run", ...suiteArguments];
  const { timeoutMs, output, writable = [] } = options;
  const machine = optionsOf<MachineOptions>(MACHINE_OPTIONS, options);
  const withOutput = output === undefined ? machine : { ...machine, writable: [...writable, outputFolder(output)] };
  return inLab(withOutput, async (lab) => {
    const run = { ...lab, command: command.length > 0 ? command : program };
    return (await runInLab(timeoutMs === undefined ? run : { ...run, timeoutMs })).exitCode;
  });
}

/** `lab shell` */
export function labShell(options: MachineOptions): Promise<number> {
  return inLab(options, async (lab) => (await shellInLab(lab)).exitCode);
}

/** `lab kernel-config` */
export function labKernelConfig({ with: variants = [] }: KernelConfigOptions): Promise<number> {
  process.stdout.write(publishedFragment(kernelVariants(variants)));
  return Promise.resolve(ExitCode.ok);
}

/** `lab gdb`: a shell, or the command, in a VM that gdb can stop. */
export function labGdb(command: readonly string[], { wait, ...options }: GdbOptions): Promise<number> {
  const choice =
    options.kernel === undefined && !choosesBuild(options) ? { ...options, with: ["debug-info"] } : options;
  const build = chosenBuild(choice);
  const vmlinux = findVmlinux(build ?? { image: choice.kernel ?? "" });
  // A stopped kernel is no hung one.
  const bootTimeoutMs = options.bootTimeoutMs ?? LAB_LIMITS.bootTimeoutMs.most;
  const kernelParameters = ["nokaslr", ...(options.kernelParameters ?? [])];
  return inLab({ ...choice, bootTimeoutMs, kernelParameters }, async (lab) => {
    const onSocket = (path: string): void => void process.stderr.write(`${gdbCommand(vmlinux, path)}\n`);
    const machine = { ...lab, debugger: { waits: wait === true, onSocket } };
    return (await (command.length === 0 ? shellInLab(machine) : runInLab({ ...machine, command }))).exitCode;
  });
}

/** What the `run` in the VM would refuse after a boot. */
async function checkSuites(options: LabRunOptions): Promise<void> {
  // The VM has this process's environment, except the devices.
  const { modes, drivers, kvmIrq } = namedTarget(options);
  for (const name of modes) findMode(name);
  findDrivers(drivers);
  if (kvmIrq !== undefined) (await import("@vfio-selftests/suites")).parseIrqTestOptions(kvmIrq);
}

/** The VM writes the report there: a folder of its own memory would lose it. */
function outputFolder(output: string): string {
  const path = linkedFile(resolve(output));
  const folder = dirname(path);
  const result = obstacleTo(path, folder);
  if (result === 0) return folder;
  throw systemError(result, "lab run", {
    message: `cannot write the report to ${output}: ${errnoName(-result)}`,
    subject: output,
    remedy: "give --output a file in a folder that exists and that you may write to",
  });
}

/** Symbolic links that one follows another: more than the kernel follows is a circle. */
const MOST_LINKS = 40;

/** What a path means whose last part may be a symbolic link, also to a file that is not there yet. */
function linkedFile(path: string, links = 0): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (!isLink || links === MOST_LINKS) return path;
  return linkedFile(resolve(dirname(path), readlinkSync(path)), links + 1);
}

/** `-errno`, or 0. */
function obstacleTo(path: string, folder: string): number {
  try {
    const file = statSync(path, { throwIfNoEntry: false });
    if (file?.isDirectory() === true) return -Errno.EISDIR;
    accessSync(file === undefined ? folder : path, constants.W_OK);
    return 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -Errno.EIO;
  }
}

/** Checks the description of the VM before anything is prepared. Models among the devices live as long as the VM. */
async function inLab(options: MachineOptions, run: (lab: LabOptions) => Promise<number>): Promise<number> {
  const { console, yes: _yes, devices, with: _with, source: _source, ...own } = options;
  const build = chosenBuild(options);
  const rest = build === undefined ? own : machineFor(build, own);
  const models = await serveModels(devices ?? []);
  try {
    const machine = devices === undefined ? rest : { ...rest, devices: models.devices };
    describeMachine(machine);
    await setUpWhenNeeded(options);
    return await run(console === true ? { ...machine, console: process.stderr } : machine);
  } finally {
    await models.close();
  }
}

/**
 * The first run prepares what it needs, and one after a change of our kernel options builds a kernel with them; on
 * standard error, so that the run's own output stays clean.
 */
async function setUpWhenNeeded(options: MachineOptions): Promise<void> {
  const { kernel } = options;
  const state = readLabState(labCache(thisHost()));
  if (state !== undefined && choosesBuild(options)) return;
  const ownKernel = kernel !== undefined || (state !== undefined && state.fragment === undefined);
  if (state !== undefined && ownKernel) return;
  if (state === undefined) process.stderr.write("The lab is not set up yet; this is done once.\n");
  using progress = new TextProgress(process.stderr);
  await setupLab({ ...(kernel === undefined ? {} : { kernel }), ...installConsent(options) }, progress);
}
