import { readFileSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { INTERRUPT_STATUS } from "../host/interruption";
import { JUMP_MARK } from "./guest-plan";
import type { Outcome } from "./guest-session";

/** How a run in the VM ended. */
export interface LabResult {
  /** The command's exit status; 128 + n when signal n ended it; 124 after the time-out. */
  readonly exitCode: number;
  /**
   * How the run ended: by the command's exit, by an interrupt (a second one, one during the boot, or output that nobody
   * reads any more), or by the time-out.
   */
  readonly ended: "exit" | "interrupt" | "timeout";
  /** Whether the VM jumped into another kernel. The exit status is then that of the command on that kernel. */
  readonly jumped: boolean;
  /** Milliseconds from power-on to the (first) command's start. */
  readonly bootMs: number;
  /** The guest's console, kept in the cache with those of the last runs. */
  readonly consoleLog: string;
}

/** What a run knows beside its outcome. */
export interface RunFacts {
  readonly kernel: string;
  readonly jumped: boolean;
  readonly bootMs: number;
  readonly consoleLog: string;
  /** What QEMU and virtiofsd printed. */
  readonly messages: string;
  /** The caller's words on QEMU's command line. */
  readonly qemuArguments: readonly string[];
}

/** The exit status that a shell gives a program whose output nobody reads. */
const SIGPIPE_STATUS = 141;
const TIMEOUT_STATUS = 124;
/** Lines of the guest's console that an error repeats. */
const CONSOLE_TAIL_LINES = 25;
/** Warnings about a network card that leads nowhere, as we want it. */
const HARMLESS_MESSAGES = /^.*warning: nic \S+ has no peer\n/gm;
/** What init prints on the console before it gives up. */
const INIT_SAYS = /^lab: (.*?)\r?$/m;

/** What a run in the guest writes into the kernel's log before each test (`kernel-log/marks.ts` of the harness). */
const TEST_MARK = /vfio-selftests: test (.*?)\r?$/gm;

/** The result for a run's caller. Throws when the guest did not boot, or went down under the command. */
export function resultOf(outcome: Outcome, facts: RunFacts): LabResult {
  const { jumped, bootMs, consoleLog } = facts;
  switch (outcome.kind) {
    case "exit":
      return { exitCode: outcome.status, ended: "exit", jumped, bootMs, consoleLog };
    case "interrupt":
      return { exitCode: INTERRUPT_STATUS[outcome.signal], ended: "interrupt", jumped, bootMs, consoleLog };
    case "unread":
      return { exitCode: SIGPIPE_STATUS, ended: "interrupt", jumped, bootMs, consoleLog };
    case "timeout":
      return { exitCode: TIMEOUT_STATUS, ended: "timeout", jumped, bootMs, consoleLog };
    case "no boot":
    case "lost":
      throw guestError(outcome, facts);
  }
}

function guestError(outcome: Extract<Outcome, { reason: string }>, facts: RunFacts): VfioError {
  const booted = outcome.kind === "lost";
  const console = readFileSync(facts.consoleLog, "utf8");
  const ofThisKernel = console.split(JUMP_MARK).at(-1) ?? console;
  const reason = INIT_SAYS.exec(ofThisKernel)?.[1] ?? outcome.reason;
  const tail = console.trimEnd().split(/\r?\n/).slice(-CONSOLE_TAIL_LINES).join("\n");
  const test = [...console.matchAll(TEST_MARK)].at(-1)?.[1];
  const during = test === undefined ? "while the command ran" : `in the test ${test}`;
  return new VfioError(
    `${booted ? `the guest went down ${during}` : facts.jumped ? "the jump into the next kernel failed" : "the guest did not boot"}: ${reason}` +
      quote("QEMU said", facts.messages.replace(HARMLESS_MESSAGES, "")) +
      quote(`end of the guest's console (all of it: ${facts.consoleLog})`, tail),
    {
      code: booted ? "ERR_LAB_GUEST_LOST" : "ERR_LAB_BOOT",
      operation: "lab run",
      subject: facts.kernel,
      remedy: booted
        ? "the console above has the kernel's last words; --console shows it live"
        : bootRemedy(facts, console),
    },
  );
}

/** The console of a kernel that has not said a word leaves QEMU's command line as the reason, where the caller had a part in it. */
function bootRemedy({ qemuArguments }: RunFacts, console: string): string {
  if (console === "" && qemuArguments.length > 0) {
    return `correct what QEMU was given: ${qemuArguments.map((word) => `--qemu-arg=${word}`).join(" ")}`;
  }
  return "check the kernel image: the lab's is built by `lab setup`; one of your own needs the options of the lab's fragment built in. A slow machine may need more time: --boot-timeout";
}

function quote(title: string, text: string): string {
  return text.trim() === "" ? "" : `\n  ${title}:\n${text.trimEnd().replace(/^/gm, "  | ")}`;
}
