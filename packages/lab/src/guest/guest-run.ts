import { VfioError } from "@vfio-selftests/core";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { chooseAccelerator } from "../machine/accelerator";
import { labCache, type LabCache } from "../cache/cache";
import { ControlChannel, type GuestMessage } from "./control-channel";
import { parseDevices, requireDevicesServed } from "../machine/devices";
import { guestCommand, guestPlan, passedOnEnvironment } from "./guest-plan";
import { thisHost, type LabHost } from "../host/host";
import { INTERRUPT_STATUS, onInterrupt, type InterruptSignal } from "../host/interruption";
import { parseIommu } from "../machine/iommus";
import { requireLabState, type LabState } from "../cache/lab-state";
import type { HugePages } from "../machine/qemu-arguments";
import { makeRunFolder, type RunFile, type RunFolder } from "../machine/run-folder";
import { VirtualMachine } from "../machine/virtual-machine";

const GUEST_INIT = join(__dirname, "../../guest/init.sh");

export const DEFAULT_DEVICES: readonly string[] = ["igb"];
export const DEFAULT_IOMMU = "intel";
const DEFAULT_MEMORY_MIB = 6144;
const DEFAULT_CPUS = 2;
const DEFAULT_HUGE_PAGES: HugePages = { gib1: 1, mib2: 64 };
const DEFAULT_BOOT_TIMEOUT_MS = 60_000;
/** Milliseconds between asking a command that overran its time to end, and ending the VM. */
const GRACE_MS = 5_000;
/** The exit status of a shell for a program whose output nobody reads. */
const SIGPIPE_STATUS = 141;
/** Lines of the guest's console that an error repeats. */
const CONSOLE_TAIL_LINES = 25;

/** A network card that leads nowhere is what we want. */
const HARMLESS_MESSAGES = /^.*warning: nic \S+ has no peer\n/gm;

/** How the VM is built; all parts have defaults. */
export interface LabMachineOptions {
  /** Names from `LAB_DEVICES`, `name*count` for several, `vfio-user:<socket>`. Default: one `igb`. */
  devices?: readonly string[];
  /** A name from `LAB_IOMMUS`. Default: `intel`. */
  iommu?: string;
  /** Kernel image instead of the one that the set-up chose. */
  kernel?: string;
  /** Guest memory in MiB. Default 6144. */
  memoryMiB?: number;
  /** Guest CPUs. Default 2. */
  cpus?: number;
  /** Huge pages reserved in the guest. Default: one of 1 GiB, 64 of 2 MiB. */
  hugePages?: HugePages;
  /** More kernel parameters. */
  kernelParameters?: readonly string[];
  /** Milliseconds from power-on to the command's start. Default 60,000. */
  bootTimeoutMs?: number;
  /** Receives the kernel's console live. It is kept in the cache in any case. */
  console?: Writable;
  /** QEMU and kernel to use instead of those in the cache. */
  lab?: LabState;
  host?: LabHost;
}

/** What both a command and a shell in the guest are. */
export interface GuestRun extends LabMachineOptions {
  mode: "run" | "shell";
  command: readonly string[];
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  terminal?: { rows: number; columns: number } | undefined;
  hasStdin: boolean;
  /** Milliseconds for the command. Default: no limit. */
  timeoutMs?: number;
  /** Takes a stream of the guest; the promise resolves when all of its data has been passed on, rejects when it cannot. */
  onStream(name: RunFile, socket: Socket, endMark: string): Promise<void>;
  onReady?(control: ControlChannel): void;
}

export interface LabResult {
  /** The command's exit status; 128 + n when signal n ended it; 124 after the time-out. */
  readonly exitCode: number;
  /**
   * How the run ended: by the command's exit; by a second interrupt, one during boot or output that nobody reads any
   * more; or by the time-out.
   */
  readonly ended: "exit" | "interrupt" | "timeout";
  /** Milliseconds from power-on to the command's start. */
  readonly bootMs: number;
  /** The guest's console, kept until the next run. */
  readonly consoleLog: string;
}

type Outcome =
  | { kind: "exit"; status: number }
  | { kind: "interrupt"; signal: InterruptSignal }
  | { kind: "timeout" }
  | { kind: "unread" }
  | { kind: "no boot"; reason: string }
  | { kind: "lost"; reason: string };

/** Boots the VM, runs the command to its end and takes the VM away again, whatever happens. */
export async function runGuest(run: GuestRun): Promise<LabResult> {
  const host = run.host ?? thisHost();
  const cache = labCache(host);
  const devices = parseDevices(run.devices ?? DEFAULT_DEVICES);
  const iommu = parseIommu(run.iommu ?? DEFAULT_IOMMU);
  const { qemu, kernel } = run.lab ?? requireLabState(cache, run.kernel);
  requireDevicesServed(devices, qemu, iommu);
  const accelerator = await chooseAccelerator(host, cache, qemu, kernel);
  const endMark = `--${randomBytes(16).toString("hex")}--`;
  const cwd = run.cwd ?? process.cwd();

  using folder = makeRunFolder();
  writeFileSync(
    folder.file("plan.sh"),
    guestPlan({ mode: run.mode, stdin: run.hasStdin, devices, endMark, keep: [cwd] }),
  );
  writeFileSync(
    folder.file("command.sh"),
    guestCommand({
      command: run.command,
      cwd,
      env: passedOnEnvironment(host.env),
      override: run.env ?? {},
      terminal: run.terminal,
    }),
    { mode: 0o600 },
  );
  copyFileSync(GUEST_INIT, folder.file("init.sh"));
  writeFileSync(folder.file("console.log"), "");

  await using machine = new VirtualMachine(host, folder);
  const streams: Promise<void>[] = [];
  let bootMs = 0;
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    const poweredOn = performance.now();
    let control: ControlChannel | undefined;
    let ready = false;
    let interrupts = 0;
    const timers: NodeJS.Timeout[] = [];
    const after = (ms: number, action: () => void): void => {
      timers.push(setTimeout(action, ms));
    };
    const signals = onInterrupt((signal) => {
      interrupts++;
      if (ready && interrupts === 1) control?.signal(signal);
      else end({ kind: "interrupt", signal });
    });
    const settle = (): void => {
      for (const timer of timers) clearTimeout(timer);
      signals[Symbol.dispose]();
    };
    const end = (result: Outcome): void => {
      settle();
      resolve(result);
    };
    const onMessage = (message: GuestMessage): void => {
      if (message.kind === "exit") end({ kind: "exit", status: message.status });
      else if (message.kind === "failed") end({ kind: "no boot", reason: message.reason });
      else {
        ready = true;
        bootMs = performance.now() - poweredOn;
        if (control !== undefined) run.onReady?.(control);
        if (run.timeoutMs !== undefined) {
          after(run.timeoutMs, () => {
            control?.signal("SIGTERM");
            after(GRACE_MS, () => {
              end({ kind: "timeout" });
            });
          });
        }
      }
    };
    const onConnection = (name: RunFile, socket: Socket): void => {
      if (name === "control") control = new ControlChannel(socket, onMessage);
      else if (name === "serial") passConsole(socket, run.console);
      else {
        const passed = run.onStream(name, socket, endMark);
        streams.push(passed);
        passed.catch(() => {
          end({ kind: "unread" });
        });
      }
    };
    const bootTimeoutMs = run.bootTimeoutMs ?? DEFAULT_BOOT_TIMEOUT_MS;
    after(bootTimeoutMs, () => {
      if (!ready) end({ kind: "no boot", reason: `no sign of life within ${bootTimeoutMs / 1000} s` });
    });
    machine
      .start(
        qemu,
        {
          kernel,
          accelerator,
          memoryMiB: run.memoryMiB ?? DEFAULT_MEMORY_MIB,
          cpus: run.cpus ?? DEFAULT_CPUS,
          hugePages: run.hugePages ?? DEFAULT_HUGE_PAGES,
          devices,
          iommu,
          mode: run.mode,
          kernelParameters: run.kernelParameters ?? [],
        },
        onConnection,
      )
      .then(({ ended }) => ended)
      .then(
        (description) => {
          end({ kind: ready ? "lost" : "no boot", reason: `the VM ended: ${description}` });
        },
        (error: unknown) => {
          settle();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
  });
  if (outcome.kind === "exit") await Promise.allSettled(streams);
  const consoleLog = keepConsole(cache, folder);
  switch (outcome.kind) {
    case "exit":
      return { exitCode: outcome.status, ended: "exit", bootMs, consoleLog };
    case "interrupt":
      return { exitCode: INTERRUPT_STATUS[outcome.signal], ended: "interrupt", bootMs, consoleLog };
    case "unread":
      return { exitCode: SIGPIPE_STATUS, ended: "interrupt", bootMs, consoleLog };
    case "timeout":
      return { exitCode: 124, ended: "timeout", bootMs, consoleLog };
    default:
      throw guestError(outcome, { kernel, consoleLog, messages: machine.messages, console: consoleTail(folder) });
  }
}

function passConsole(socket: Socket, destination: Writable | undefined): void {
  if (destination === undefined) socket.resume();
  else socket.pipe(destination, { end: false });
}

function consoleTail(folder: RunFolder): string {
  const lines = readFileSync(folder.file("console.log"), "utf8").trimEnd().split(/\r?\n/);
  return lines.slice(-CONSOLE_TAIL_LINES).join("\n");
}

/** Copies the console into the cache. */
function keepConsole(cache: LabCache, folder: RunFolder): string {
  mkdirSync(cache.folder, { recursive: true });
  copyFileSync(folder.file("console.log"), cache.consoleLog);
  return cache.consoleLog;
}

function guestError(
  outcome: { kind: "no boot" | "lost"; reason: string },
  about: { kernel: string; consoleLog: string; messages: string; console: string },
): VfioError {
  const booted = outcome.kind === "lost";
  const quote = (title: string, text: string): string =>
    text.trim() === "" ? "" : `\n  ${title}:\n${text.trimEnd().replace(/^/gm, "  | ")}`;
  return new VfioError(
    `${booted ? "the guest went down while the command ran" : "the guest did not boot"}: ${outcome.reason}` +
      quote("QEMU said", about.messages.replace(HARMLESS_MESSAGES, "")) +
      quote(`end of the guest's console (all of it: ${about.consoleLog})`, about.console),
    {
      code: booted ? "ERR_LAB_GUEST_LOST" : "ERR_LAB_BOOT",
      operation: "lab run",
      subject: about.kernel,
      remedy: booted
        ? "the console above has the kernel's last words; --console shows it live"
        : "check the kernel image: the lab's is built by `lab setup`; one of your own needs the options of the lab's fragment built in",
    },
  );
}
