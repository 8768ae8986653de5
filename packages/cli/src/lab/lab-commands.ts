import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import { TERMINAL_COLUMNS } from "@vfio-selftests/harness";
import { findMode } from "@vfio-selftests/iommu-modes";
import {
  availableMiB,
  buildLabKernel,
  DEFAULT_ARCHITECTURE,
  findKernelImage,
  GUEST_NODE,
  LAB_LIMITS,
  labCache,
  parseArchitecture,
  runInLab,
  setupLab,
  shellInLab,
  TextProgress,
  thisHost,
} from "@vfio-selftests/lab";
import { countingKernel, withCounters } from "../coverage/counting-kernel";
import type { KeptDurations, Selection } from "../durations/kept-durations";
import { DURATIONS_FILE } from "../durations/run-durations";
import { ExitCode } from "../exit-codes";
import { asArguments, optionsOf } from "../options/option";
import { chooseFilter, failedAmong } from "../run/choose-filter";
import { saveFailed, saveLastRun } from "../run/last-run";
import { SUITE_OPTIONS } from "../run/options";
import { requireWritable } from "../run/report-file";
import { namedTarget, type SuiteOptions } from "../run/run-options";
import { findDrivers } from "../target/find-drivers";
import { installConsent } from "./consent";
import { gdbCommand } from "./gdb";
import { requireGuestAddon } from "./guest-addon";
import { describeConsoleReport, readConsole, tellReports } from "./guest-console";
import { inLab, prepareLab, withMachine } from "./in-lab";
import { chooseJobs } from "./jobs/choose-jobs";
import { labDurations } from "./jobs/lab-durations";
import { LineWriter } from "./jobs/line-writer";
import { choosesBuild, chosenBuild, findVmlinux, requireBuildableArchitecture } from "./kernel-choice";
import { machineName } from "./machine-name";
import {
  type GdbOptions,
  type LabRunOptions,
  MACHINE_OPTIONS,
  type MachineOptions,
  type SetupOptions,
} from "./options";
import { repeatingLabRun } from "./repeating-command";

/** `lab setup` */
export async function labSetup({ yes, with: variants, source, ...options }: SetupOptions): Promise<number> {
  using progress = new TextProgress();
  const consent = installConsent({ ...(yes && { yes }) });
  if (variants !== undefined || source !== undefined) {
    const { arch, kernel, anyConfig: _anyConfig, ...rest } = options;
    requireBuildableArchitecture({ ...(arch && { arch }) });
    if (kernel !== undefined) throw argumentError("lab setup", "kernel", kernel, "no image where one is to be built");
    const built = await buildLabKernel({ ...rest, ...consent, variants: variants ?? [], tree: source }, progress);
    console.log(`ready: kernel ${built.image}`);
    return ExitCode.ok;
  }
  const lab = await setupLab({ ...options, ...consent }, progress);
  console.log(`${lab.changed ? "ready" : "ready already"}: kernel ${lab.kernel}`);
  return ExitCode.ok;
}

/** `lab run`: runs the command, by default this program's `run` on the VM's devices with the same options. */
export async function labRun(command: readonly string[], options: LabRunOptions): Promise<number> {
  if (command.length === 0) await checkSuites(options);
  if (options.changed !== undefined) return runChanged(command, options, options.changed);
  if (options.coverage === true) return runCovered(command, options);
  return runMachine(command, options);
}

/** Chooses the tests that reach a kernel tree's changes, for a run on that tree's kernel. */
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
    // The list is not in /tmp, because the VM has its own /tmp.
    const writable = [...(options.writable ?? []), folder];
    return await labRun(command, { ...options, ...kernel, except, writable });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Keeps the kernel's coverage in each test, or in the command. */
async function runCovered(
  command: readonly string[],
  { coverage: _coverage, ...options }: LabRunOptions,
): Promise<number> {
  const counting = withCounters(options);
  const { CoverageRun } = await import("../coverage/coverage-run.js");
  // The kernel's kind is the database's.
  const { with: _variants, ...machine } = options;
  using run = new CoverageRun(countingKernel(counting), machineName(machine));
  const writable = [...(options.writable ?? []), run.folder];
  const whole = command.length > 0 ? { command: run.around(command) } : { command, gcov: run.folder };
  try {
    return await runMachine(whole.command, { ...counting, ...whole, writable });
  } finally {
    // The measurements are also kept when the run was interrupted or its VM went down.
    await run.finish((text) => process.stdout.write(text));
  }
}

async function runMachine(command: readonly string[], options: LabRunOptions): Promise<number> {
  if (command.length > 0) return runCommand(command, options);
  // The VM writes the report there: a folder of its own memory would lose it.
  const folder = options.output === undefined ? undefined : requireWritable(options.output, "lab run");
  if (options.list === true) return runInOne(options, folder);
  const durations = labDurations(labCache(thisHost()), options);
  const selection = { filter: await chooseFilter(options), modes: namedTarget(options).modes };
  const jobs = jobsFor(options, durations.expected(selection));
  if (jobs === 1) return runInOne(options, folder, shownFor(durations));
  return runInSeveral(options, jobs, folder, durations, selection);
}

async function runCommand(command: readonly string[], options: LabRunOptions): Promise<number> {
  const suiteArguments = asArguments<SuiteOptions>(SUITE_OPTIONS, options);
  const jobs = options.jobs === undefined ? [] : [`--jobs=${options.jobs}`];
  const given = [...jobs, ...suiteArguments].join(" ");
  if (given !== "") throw argumentError("lab run", "option", given, "no option of the suites beside a command");
  return inLab(optionsOf<MachineOptions>(MACHINE_OPTIONS, options), async (lab) => {
    const result = await runInLab({ ...lab, ...limitOf(options), command });
    return tellReports(readConsole(result.consoleLog)?.reports ?? [], result.exitCode);
  });
}

/** Runs the suites in one VM, where `run` writes the report into the folder. */
function runInOne(
  options: LabRunOptions,
  folder: string | undefined,
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const command = [nodeIn(options), RUN_PROGRAM, "run", ...asArguments<SuiteOptions>(SUITE_OPTIONS, forGuest(options))];
  return inLab(machineOf(options, folder), async (lab) => {
    const result = await runInLab({ ...lab, ...limitOf(options), env, command });
    const console = readConsole(result.consoleLog);
    if (console === undefined) return result.exitCode;
    keepFailed(saveFailed(console.failed));
    return tellReports(console.reports, result.exitCode);
  });
}

/** What the run in the VM needs for a live line on this process's terminal: the width, and the durations for the time left. */
function shownFor({ path }: KeptDurations): Readonly<Record<string, string>> {
  const { isTTY, columns } = process.stdout;
  return isTTY ? { [TERMINAL_COLUMNS]: String(columns > 0 ? columns : 80), [DURATIONS_FILE]: path } : {};
}

/** The VM, which may write to the report's folder. The number of VMs does not change which folders are refused. */
function machineOf(options: LabRunOptions, folder: string | undefined): MachineOptions {
  const machine = optionsOf<MachineOptions>(MACHINE_OPTIONS, options);
  return folder === undefined ? machine : { ...machine, writable: [...(options.writable ?? []), folder] };
}

/** Runs the suites in several VMs that are alike. This process writes the report. */
async function runInSeveral(
  options: LabRunOptions,
  jobs: number,
  folder: string | undefined,
  durations: KeptDurations,
  selection: Selection,
): Promise<number> {
  const { runDealt } = await import("./jobs/dealt-run.js");
  const machine = machineOf(options, folder);
  const { timeoutMs } = options;
  await prepareLab(machine);
  tellPerson(`${jobs} VMs boot and share the tests (--jobs 1: one VM)`);
  const started = performance.now();
  return runDealt({
    jobs,
    options: { ...optionsOf<SuiteOptions>(SUITE_OPTIONS, forGuest(options)), reporter: options.reporter },
    durations: durations.values,
    keep: (run, measured, whole) => {
      durations.keep(measured, whole ? selection : undefined);
      keepFailed(saveLastRun(run));
    },
    tell: tellPerson,
    startWorker: (vm, streams) =>
      withMachine(machine, async (lab) => {
        const console =
          machine.console === true
            ? { console: new LineWriter((line) => tellPerson(`VM ${vm + 1} console: ${line}`)) }
            : {};
        // A VM that replaces another one has the rest of the time.
        const limit =
          timeoutMs === undefined ? {} : { timeoutMs: Math.max(1, timeoutMs - (performance.now() - started)) };
        const command = [nodeIn(options), WORKER_PROGRAM];
        const result = await runInLab({ ...lab, ...limit, ...streams, ...console, command });
        // At its time limit the run in the VM gets a signal and ends in good order. Its status does not say why it
        // ended.
        const overran = timeoutMs !== undefined && performance.now() - started >= timeoutMs;
        const problems = (readConsole(result.consoleLog)?.reports ?? []).map(describeConsoleReport);
        return { ...result, ...(overran ? { ended: "timeout" } : {}), problems };
      }),
  });
}

/** Writes a line to standard error, where the report may keep a live line on the same terminal. */
function tellPerson(line: string): void {
  process.stderr.write(`${process.stderr.isTTY ? "\r\u001b[K" : ""}${line}\n`);
}

/** Node as the VM has it: the host's own, unless the VM's CPU does not run that. */
function nodeIn({ arch }: Pick<LabRunOptions, "arch">): string {
  const architecture = arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(arch);
  return architecture.node === process.arch ? process.execPath : GUEST_NODE;
}

const RUN_PROGRAM = join(__dirname, "..", "main.js");
const WORKER_PROGRAM = join(__dirname, "jobs", "worker.js");

function limitOf({ timeoutMs }: LabRunOptions): { timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs };
}

function jobsFor(options: LabRunOptions, expectedMs: number | undefined): number {
  const { repeat, untilFail, bail, jobs } = options;
  if (repeat !== undefined || untilFail === true || bail === true) {
    // These options run one test after the other, and all of them again: several VMs have no such order.
    if (jobs !== undefined && jobs > 1) {
      throw argumentError("lab run", "jobs", jobs, "1 with --repeat, --until-fail and --bail");
    }
    return 1;
  }
  const host = thisHost();
  return chooseJobs({
    ...options,
    expectedMs,
    cpus: host.cpus,
    availableMiB: availableMiB(host),
  });
}

/**
 * Replaces `--last-failed` by the ids of the tests: the guest does not see what the host keeps of the last run. Its report
 * names this command.
 */
function forGuest(options: LabRunOptions): LabRunOptions {
  const { lastFailed, ...others } = { called: repeatingLabRun(options), ...options };
  return lastFailed === true ? { ...others, run: failedAmong(options.run) } : others;
}

function keepFailed(problem: string | undefined): void {
  if (problem !== undefined) process.stderr.write(`vfio-selftests: ${problem}\n`);
}

/** `lab shell` */
export function labShell(options: MachineOptions): Promise<number> {
  return inLab(options, async (lab) => (await shellInLab(lab)).exitCode);
}

/** `lab gdb`: a shell or the command in a VM that gdb can stop. */
export function labGdb(command: readonly string[], { wait, ...options }: GdbOptions): Promise<number> {
  const choice =
    options.kernel === undefined && !choosesBuild(options) ? { ...options, with: ["debug-info"] } : options;
  const build = chosenBuild(choice);
  const { kernel: architecture } = options.arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(options.arch);
  const vmlinux = findVmlinux(build ?? { image: findKernelImage(choice.kernel ?? "", architecture) });
  // The boot must not time out while gdb stops the kernel.
  const bootTimeoutMs = options.bootTimeoutMs ?? LAB_LIMITS.bootTimeoutMs.most;
  const kernelParameters = ["nokaslr", ...(options.kernelParameters ?? [])];
  return inLab({ ...choice, bootTimeoutMs, kernelParameters }, async (lab) => {
    const onSocket = (path: string): void => void process.stderr.write(`${gdbCommand(vmlinux, path)}\n`);
    const machine = { ...lab, debugger: { waits: wait === true, onSocket } };
    return (await (command.length === 0 ? shellInLab(machine) : runInLab({ ...machine, command }))).exitCode;
  });
}

/** Checks before the boot what the `run` in the VM would refuse after it. */
async function checkSuites(options: LabRunOptions): Promise<void> {
  // The VM gets this process's environment, without the devices.
  const { modes, drivers, kvmIrq } = namedTarget(options);
  for (const name of modes) findMode(name);
  findDrivers(drivers);
  if (kvmIrq !== undefined) (await import("@vfio-selftests/suites")).parseIrqTestOptions(kvmIrq);
  const { requireTest } = await import("./guest-tests.js");
  await requireTest(options);
  requireGuestAddon(options);
}
