import { writeFileSync } from "node:fs";
import type { RunPlan } from "../formats/report-format";
import type { RunListener } from "../formats/run-report";
import type { TestOutcome } from "../outcome/test-outcome";
import { runState, type TestStart } from "./run-state";

/** What a process that runs tests tells the one that watches it. `kernelLog`: how far the kernel's log has been looked at. */
export type RunEvent = { readonly kernelLog?: number | undefined } & (
  | { readonly kind: "counted"; readonly size: RunPlan["size"] }
  | ({ readonly kind: "started" } & TestStart)
  | { readonly kind: "finished"; readonly test: TestOutcome }
  | { readonly kind: "failed"; readonly error: string }
  | { readonly kind: "ended" }
);

/** Tells a run to the other end of a pipe, a line of JSON for each event. */
export class RunChannel implements RunListener {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  counted(size: RunPlan["size"]): void {
    this.#send({ kind: "counted", size });
  }

  /** The environment's own word comes before the test's first line. */
  starting(start: TestStart): void {
    this.#send({ kind: "started", ...start });
  }

  started(): void {
    // See above.
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

  /** Written at once, whatever the event loop does next. */
  #send(event: RunEvent): void {
    writeFileSync(this.#fd, `${JSON.stringify({ kernelLog: runState().kernelLog, ...event })}\n`);
  }
}
