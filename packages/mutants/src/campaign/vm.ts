import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { VfioError } from "@vfio-selftests/core";
import { LAB_DEFAULTS, type LabMachineOptions, type LabRunOptions, type runInLab } from "@vfio-selftests/lab";
import type { MutantKernel } from "../kernel/mutant-kernel";
import type { VmEnd } from "./campaign";
import type { ReachTable } from "./reach";
import type { RecordPlan, Trial, TrialPlan } from "./trial";

/** What both kinds of VM need. */
export interface VmOptions {
  /** The kernel that holds the mutants. */
  readonly kernel: MutantKernel;
  /** The VM. Its kernel and what the trials write are added. */
  readonly machine: LabMachineOptions;
  /** Program and arguments that run the tests in the VM. The suites print their results as TAP. */
  readonly command: readonly string[];
  /** Runs a command in a VM. The caller may serve the VM's devices meanwhile. */
  readonly runInVm: typeof runInLab;
}

/**
 * Milliseconds without output after which a test counts as hung. Upstream's longest tests print nothing for a minute.
 */
const SILENCE_MS = 120_000;
/** A test may take this many milliseconds more than so many times its time without mutants, because this machine may be slow. */
const EXTRA_MS = 30_000;
const PATIENCE = 4;
/** Milliseconds without a sign of life from the VM. The program inside gives one every 5 s. */
const VM_SILENCE_MS = 90_000;
/** Statuses of a command that SIGINT, SIGTERM or SIGHUP ended. */
const INTERRUPTED = new Set([129, 130, 143]);

const PANIC = /(?:Kernel panic - not syncing: .*|BUG: .*|Oops: .*|general protection fault.*)/;

function machineFor({ kernel, machine }: VmOptions, folder: string): LabMachineOptions {
  const { kernelParameters = [], writable = [], bootTimeoutMs = LAB_DEFAULTS.bootTimeoutMs } = machine;
  return {
    ...machine,
    kernel: kernel.image,
    kernelParameters: [...kernel.parameters, ...kernelParameters],
    writable: [...writable, folder],
    bootTimeoutMs: bootTimeoutMs * kernel.slowdown,
  };
}

/** Runs the command with these variables in a VM. Its output goes to the terminal. */
export async function recordInVm(
  options: VmOptions,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const { exitCode } = await options.runInVm({ ...machineFor(options, folder), command: options.command, env });
  requireEnd(exitCode);
}

/** Runs each test alone in a VM. `file` gets a record for each. */
export async function recordEachInVm(
  options: VmOptions & { readonly folder: string },
  tests: readonly string[],
  file: string,
): Promise<void> {
  const { kernel, command, folder } = options;
  const plan: RecordPlan = { key: kernel.key, command, silenceMs: SILENCE_MS * kernel.slowdown, tests, file };
  const planFile = join(folder, "record-plan.json");
  writeFileSync(planFile, JSON.stringify(plan));
  const program = [process.execPath, require.resolve("../guest/record-main.js"), planFile];
  requireEnd((await options.runInVm({ ...machineFor(options, folder), command: program })).exitCode);
}

function requireEnd(exitCode: number): void {
  if (!INTERRUPTED.has(exitCode)) return;
  throw new VfioError("lab mutate was ended by a signal before it knew which tests reach which mutants", {
    code: "ERR_LAB_INTERRUPTED",
    operation: "lab mutate",
    remedy: "run it again",
  });
}

/** Tries mutants in a VM until it goes down or there are no more. */
export async function tryInVm(
  options: VmOptions & {
    readonly folder: string;
    readonly lines: string;
    /** Where it is known, how long each test takes. */
    readonly reach?: ReachTable;
    readonly environmentVariable?: string | undefined;
  },
  trials: readonly Trial[],
): Promise<VmEnd> {
  const { kernel, folder, lines, reach, environmentVariable } = options;
  const limitOf = (ms: number): number => EXTRA_MS * kernel.slowdown + PATIENCE * ms;
  const planFile = join(folder, "plan.json");
  const plan: TrialPlan = {
    key: kernel.key,
    command: options.command,
    silenceMs: reach === undefined ? SILENCE_MS * kernel.slowdown : limitOf(reach.longestMs) + EXTRA_MS,
    trials,
    ...(reach !== undefined && {
      limitsMs: Object.fromEntries(
        trials.flatMap(({ tests }) => tests.map((test) => [test, limitOf(reach.durationMs(test))])),
      ),
    }),
    lines,
    ...(environmentVariable !== undefined && { environmentVariable }),
  };
  writeFileSync(planFile, JSON.stringify(plan));
  const machine = endAtOops(machineFor(options, folder));
  const watch = new SilenceWatch(VM_SILENCE_MS * kernel.slowdown, machine.bootTimeoutMs ?? LAB_DEFAULTS.bootTimeoutMs);
  const run: LabRunOptions = {
    ...machine,
    command: [process.execPath, require.resolve("../guest/main.js"), planFile],
    stdout: watch,
  };
  try {
    const { exitCode, ended } = await options.runInVm(run);
    if (watch.silent) return { kind: "silent" };
    return ended === "interrupt" || INTERRUPTED.has(exitCode) ? { kind: "interrupted" } : { kind: "done" };
  } catch (error) {
    if (!(error instanceof VfioError) || error.code !== "ERR_LAB_GUEST_LOST") throw error;
    return watch.silent ? { kind: "silent" } : { kind: "lost", why: panicLine(error.message) };
  } finally {
    watch.destroy();
  }
}

/** After an oops the kernel often goes on with a lock that nobody releases: the VM would be silent for minutes. */
function endAtOops(machine: LabMachineOptions): LabMachineOptions {
  return { ...machine, kernelParameters: [...(machine.kernelParameters ?? []), "oops=panic"] };
}

function panicLine(message: string): string {
  return PANIC.exec(message)?.[0] ?? message.split("\n", 1)[0] ?? "";
}

/** Takes the VM's output, and fails when none comes, because the VM ends when its reader is gone. */
class SilenceWatch extends Writable {
  #timer: NodeJS.Timeout;
  silent = false;

  readonly #ms: number;

  /** The first sign of life comes after the boot, which may take time of its own. */
  constructor(ms: number, bootMs: number) {
    super();
    this.#ms = ms;
    this.#timer = this.#start(ms + bootMs);
    // The lab listens while it passes output on. An error before or after that concerns nobody.
    this.on("error", () => undefined);
  }

  override _write(_chunk: Buffer, _encoding: string, callback: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start(this.#ms);
    callback();
  }

  #start(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.silent = true;
      this.destroy(new Error("nothing was heard of the VM"));
    }, ms);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    callback(error);
  }
}
