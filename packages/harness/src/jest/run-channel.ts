import { writeFileSync } from "node:fs";
import type { RunPlan } from "../formats/report-format";
import type { RunListener } from "../formats/run-report";
import type { TestOutcome } from "../outcome/test-outcome";
import { runState, type TestStart } from "./run-state";

/**
 * An event for the process that watches this one. `kernelLog`: the sequence number up to which the log has been read.
 */
export type RunEvent = { readonly kernelLog?: number | undefined } & (
  | { readonly kind: "counted"; readonly size: RunPlan["size"] }
  | ({ readonly kind: "started" } & TestStart)
  | { readonly kind: "finished"; readonly test: TestOutcome }
  | { readonly kind: "failed"; readonly error: string }
  | { readonly kind: "ended" }
);

/** Writes a run to the other end of a pipe, a line of JSON for each event. */
export class RunChannel implements RunListener {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  counted(size: RunPlan["size"]): void {
    this.#send({ kind: "counted", size });
  }

  /** The environment calls this before the test's first line runs. */
  starting(start: TestStart): void {
    this.#send({ kind: "started", ...start });
  }

  started(): void {
    // `starting` has said so already.
  }

  finished(test: TestOutcome): void {
    this.#send({ kind: "finished", test });
  }

  failed(error: string): void {
    this.#send({ kind: "failed", error });
  }

  ended(): void {
    this.#send({ kind: "ended" });
  }

  /** Writes at once, whatever the event loop does next. */
  #send(event: RunEvent): void {
    writeFileSync(this.#fd, `${JSON.stringify({ kernelLog: runState().kernelLog, ...event })}\n`);
  }
}
