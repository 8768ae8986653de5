import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { argumentError, VfioError } from "@vfio-selftests/core/errors";
import { DEFAULT_ARCHITECTURE } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { labCache } from "../cache/cache";
import { newConsoleLog } from "../cache/console-log";
import { findProgram } from "../host/find-program";
import { type LabHost, thisHost } from "../host/host";
import { chooseAccelerator } from "../machine/accelerator";
import { requireDevicesServed, scratchDisksOf } from "../machine/devices";
import { GUEST_MODULES } from "../machine/guest-programs";
import { requireModulesOf } from "../machine/kernel/module-tree";
import { requireKernel } from "../machine/kernel/required-kernel";
import { describeMachine, type LabMachineOptions } from "../machine/lab-machine";
import { type LabState, requireLabState } from "../machine/lab-state";
import type { GuestMode } from "../machine/qemu-arguments";
import { makeRunFolder, type RunFile } from "../machine/run-folder";
import { sharesBeside, sharesOf, withReadOnly } from "../machine/shares";
import { VirtualMachine } from "../machine/virtual-machine";
import type { ControlChannel } from "./control-channel";
import { guestCommand, guestPlan, passedOnEnvironment } from "./guest-plan";
import { GuestSession } from "./guest-session";
import { type LabResult, resultOf } from "./lab-result";
import { MonitorDoor } from "./monitor-door";

/** Milliseconds for the guest's kernel to switch the VM off after the command. */
const POWER_OFF_MS = 5000;

/**
 * How long the guest may be silent, whose init speaks every ten seconds: as long as a busy host may need to give it the
 * CPU, in milliseconds, times the kernel's slowness.
 */
const SILENCE_MS = 300_000;

const GUEST_INIT = join(__dirname, "../../guest/init.sh");

/** The VM, and what a caller brings for it. */
export interface LabOptions extends LabMachineOptions {
  /** Receives the kernel's console live. The cache keeps it in any case. */
  readonly console?: Writable;
  /** QEMU and kernel to use instead of those in the cache. */
  readonly lab?: LabState;
  /** Lets gdb attach to the VM, at the socket that `onSocket` gets before the boot. */
  readonly debugger?: { readonly waits: boolean; onSocket(path: string): void };
  /** The machine. Default: this one. */
  readonly host?: LabHost;
}

/** What a command and a shell in the guest have in common. */
export interface GuestRun extends LabOptions {
  readonly mode: GuestMode;
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly terminal?: { readonly rows: number; readonly columns: number } | undefined;
  readonly hasStdin: boolean;
  /** The command's limit in milliseconds. Default: no limit. */
  readonly timeoutMs?: number;
  /** Takes a stream of the guest, which ends with the mark (see `SessionOptions.onStream`). */
  onStream(name: RunFile, socket: Socket, endMark: string): Promise<void>;
  onReady?(control: ControlChannel): void;
  /** What follows the command's success, if anything does. */
  readonly next?: NextStage;
}

/** Another kernel in the same VM, and the command to run on it. */
export interface NextStage {
  /** Its image, or the kernel tree or build folder that has one. Default: the VM's first kernel. */
  readonly kernel?: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Called when the kernel is about to jump. */
  readonly onJump?: (kernel: string) => void;
  /** Called when the kernel has booted, with the milliseconds since the jump. */
  readonly onArrival?: (ms: number) => void;
}

/** Loads a kernel in the guest and jumps into it. */
const JUMP_PROGRAM = join(__dirname, "../kexec/main.js");

/** Boots the VM, runs the command to its end, and ends the VM, whatever happens. */
export async function runGuest(run: GuestRun): Promise<LabResult> {
  const host = run.host ?? thisHost();
  const machine = describeMachine(run);
  const { architecture } = machine;
  const cache = labCache(host, architecture);
  const { qemu, kernel, guestRoot } = run.lab ?? requireLabState(cache, architecture, machine.kernel);
  requireDevicesServed(machine.devices, qemu);
  if (machine.modules !== undefined) {
    requireModulesOf(kernel, machine.modules);
    requireModprobe(host, guestRoot);
  }
  const accelerator = await chooseAccelerator(host, cache, qemu, kernel, architecture);
  const cwd = run.cwd ?? process.cwd();
  const endMark = `--${randomBytes(16).toString("hex")}--`;

  using folder = makeRunFolder(host);
  const seen =
    guestRoot === undefined
      ? sharesOf(cwd, machine.writable)
      : sharesBeside(guestRoot, folder.path, cwd, machine.writable, [__dirname]);
  // A share of its own: the tree may lie below /tmp, which the guest covers.
  const shares = withReadOnly(seen, machine.modules);
  const { mode, command, terminal } = run;
  const slowdown = machine.slowdown === 1 ? {} : { VFIO_SELFTESTS_SLOWDOWN: String(machine.slowdown) };
  const modules = guestRoot === undefined ? {} : { NODE_PATH: GUEST_MODULES };
  const disks = scratchDisksOf(machine.devices).map(({ serial }) => serial);
  const scratch = disks.length === 0 ? {} : { VFIO_SELFTESTS_NVME_SCRATCH: disks.join(",") };
  const override = { ...slowdown, ...modules, ...scratch, ...run.env };
  const env = passedOnEnvironment(host);
  const writeCommand = (name: RunFile, words: readonly string[], stage: Record<string, string>): void => {
    const script = guestCommand({ command: words, cwd, env, override: { ...stage, ...override }, terminal });
    writeFileSync(folder.file(name), script, { mode: 0o600 });
  };
  const { next } = run;
  const demands = { hasModules: machine.modules !== undefined, anyConfig: run.anyConfig };
  const nextKernel = next?.kernel === undefined ? kernel : requireKernel(next.kernel, architecture, demands);
  if (next === undefined) writeCommand("command.sh", command, {});
  else {
    requireKexec(architecture);
    copyFileSync(nextKernel, folder.file("next-kernel"));
    writeCommand("command.sh", command, { VFIO_SELFTESTS_STAGE: "1" });
    writeCommand("next-command.sh", next.command, { VFIO_SELFTESTS_STAGE: "2" });
  }
  const jump = next === undefined ? undefined : [process.execPath, JUMP_PROGRAM];
  const { devices, modules: tree } = machine;
  const plan = guestPlan({ mode, stdin: run.hasStdin, devices, endMark, cwd, shares, modules: tree, jump });
  writeFileSync(folder.file("plan.sh"), plan);
  copyFileSync(GUEST_INIT, folder.file("init.sh"));
  const consoleLog = newConsoleLog(cache);

  await using vm = new VirtualMachine(host);
  using session = new GuestSession({
    bootTimeoutMs: machine.bootTimeoutMs,
    timeoutMs: run.timeoutMs,
    // gdb stops the guest for as long as somebody thinks.
    silenceMs: run.debugger === undefined ? SILENCE_MS * machine.slowdown : undefined,
    console: run.console,
    onStream: (name, socket) => run.onStream(name, socket, endMark),
    onReady: (control) => run.onReady?.(control),
    onJump: () => next?.onJump?.(nextKernel),
    onArrival: (ms) => next?.onArrival?.(ms),
  });
  const boot = { kernel, accelerator, mode, shares, folder, consoleLog, debugged: run.debugger };
  run.debugger?.onSocket(folder.file("gdb"));
  const door = new MonitorDoor(machine.devices);
  const { ended } = await vm.start(qemu, machine, boot, (name, socket) => {
    if (name === "qmp" || name === "monitor") door.connected(name, socket);
    else session.connected(name, socket);
  });
  void ended.then((description) => session.machineEnded(description));
  const outcome = await session.outcome;
  if (outcome.kind === "exit") {
    await session.drained();
    session.powerOff();
    await Promise.race([ended, delay(POWER_OFF_MS, undefined, { ref: false })]);
  }
  const { bootMs, jumped } = session;
  const facts = {
    kernel: jumped ? nextKernel : kernel,
    jumped,
    bootMs,
    consoleLog,
    messages: vm.messages,
    qemuArguments: machine.qemuArguments,
  };
  return resultOf(outcome, facts);
}

/** The guest's modprobe is the host's, or that of the guest's own root. */
function requireModprobe(host: LabHost, guestRoot: string | undefined): void {
  const found = guestRoot === undefined ? findProgram(host, "modprobe") : join(guestRoot, "usr/sbin/modprobe");
  if (found !== undefined && existsSync(found)) return;
  throw new VfioError("there is no modprobe, which loads the guest's modules", {
    code: "ERR_LAB_TOOLS_MISSING",
    operation: "lab run",
    subject: guestRoot ?? "modprobe",
    remedy: "install kmod: apt-get install kmod, dnf install kmod",
  });
}

/** The lab's kernel for arm64 has no kexec, so that it takes half the time to build (kernel/arm64/wanted.config). */
function requireKexec({ name }: LabArchitecture): void {
  if (name === DEFAULT_ARCHITECTURE.name) return;
  throw argumentError("lab kexec", "arch", name, DEFAULT_ARCHITECTURE.name);
}
