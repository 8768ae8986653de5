import type { Machine } from "./machine/machine";

/** What a finding does to the tests: it keeps all of them from running, some of them, or none. */
export type Severity = "blocks" | "limits" | "note";

export interface Finding {
  readonly severity: Severity;
  /** What is the matter, and with what effect. */
  readonly text: string;
  /** What a person must do or decide beside the commands. */
  readonly advice?: string;
  /** What mends it, to be copied: one command a line, in this order. */
  readonly commands: readonly string[];
}

/** One question to the machine. */
export interface Check {
  /** Stable: scripts read it. */
  readonly id: string;
  /** What cannot run when it blocks: tests on the kernel's devices, or the lab. */
  readonly subject: "devices" | "lab";
  /** The question's name in the list of what is in order. */
  readonly title: string;
  /** False where the machine has nothing to look at, so that no finding means nothing. Absent: always true. */
  applies?(machine: Machine): boolean;
  /** Nothing when all is well. Called only where the check applies. */
  examine(machine: Machine): readonly Finding[];
}
