import { PassThrough } from "node:stream";
import { VfioError } from "@vfio-selftests/core";
import {
  type Durations,
  exitCodeOf,
  fullId,
  openReports,
  parseEvent,
  type ReportEvent,
  type RunOutcome,
  type TestOutcome,
  type TestPart,
} from "@vfio-selftests/harness";
import { INTERRUPT_STATUS, type InterruptSignal, type LabResult, onInterrupt } from "@vfio-selftests/lab";
import type { RunOptions } from "../../run/run-options";
import { chooseReports, noneOf, tellTotals } from "../../run/run-suites";
import { LineWriter } from "./line-writer";
import { MergedRun } from "./merged-run";
import type { Work } from "./work";

/** The streams of one VM's worker. */
export interface WorkerStreams {
  readonly stdin: PassThrough;
  readonly stdout: LineWriter;
  readonly stderr: LineWriter;
}

/** Boots a VM, runs the worker in it to its end, and takes the VM away. */
export type StartWorker = (vm: number, streams: WorkerStreams) => Promise<WorkerResult>;

export interface WorkerResult extends Pick<LabResult, "exitCode" | "ended"> {
  /** What went wrong in the VM outside its run of tests. */
  readonly problems?: readonly string[];
}

export interface DealtRunOptions {
  /** Two or more. */
  readonly jobs: number;
  readonly options: RunOptions;
  readonly durations: Durations;
  /** Takes a line for people. */
  readonly tell: (line: string) => void;
  /**
   * Keeps the run for the next one. Also gets the tests that ran to their end, whose durations are real, and whether
   * these are all.
   */
  readonly keep: (run: RunOutcome, measured: readonly TestOutcome[], whole: boolean) => void;
  readonly startWorker: StartWorker;
}

/** How one VM's run ended. */
type Ending =
  | { readonly kind: "complete" }
  | Extract<ReportEvent, { kind: "refused" }>
  /** The VM's run did not end: the VM went down, or did not come up. */
  | { readonly kind: "lost"; readonly why: string; readonly error?: VfioError };

/**
 * Runs the tests in several VMs at once and makes one report. A test during which its VM goes down fails. A new VM runs
 * the other tests that were dealt to that VM. Resolves to the exit code.
 */
export async function runDealt(options: DealtRunOptions): Promise<number> {
  using run = new DealtRun(options);
  return await run.run();
}

class DealtRun implements Disposable {
  readonly #options: DealtRunOptions;
  readonly #merged: MergedRun;
  readonly #interrupts: Disposable;
  /** Why VMs did not come up, or went down. */
  readonly #failures: VfioError[] = [];
  #signal: InterruptSignal | undefined;
  #refused: Extract<ReportEvent, { kind: "refused" }> | undefined;
  /** The exit code of a run that its time limit ended. */
  #overran: number | undefined;

  constructor(options: DealtRunOptions) {
    this.#options = options;
    const reports = chooseReports(options.options);
    this.#merged = new MergedRun(options.jobs, options.durations, (plan) => openReports(reports, plan));
    // The signal also ends the VMs, each of which hands it on to its tests.
    this.#interrupts = onInterrupt((signal) => (this.#signal ??= signal));
  }

  async run(): Promise<number> {
    const { jobs: count, durations, tell } = this.#options;
    const vms = Array.from({ length: count }, (_, index) => index);
    await Promise.all(vms.map((index) => this.#drive(index, { share: { index, count, durations } })));
    // When a VM did not come up, its tests get one more VM.
    const left = vms.filter((vm) => !this.#ended && this.#merged.rest(vm).length > 0);
    for (const vm of left) tell(`VM ${vm + 1} left ${this.#merged.rest(vm).length} tests; another one runs them`);
    await Promise.all(left.map((vm) => this.#drive(vm, this.#restOf(vm))));
    return this.#finish();
  }

  [Symbol.dispose](): void {
    this.#interrupts[Symbol.dispose]();
    this.#merged[Symbol.dispose]();
  }

  /** Whether something has ended the run before its time. */
  get #ended(): boolean {
    return this.#signal !== undefined || this.#refused !== undefined || this.#overran !== undefined;
  }

  #restOf(vm: number): TestPart {
    return { only: this.#merged.rest(vm).map(fullId) };
  }

  /** Runs a VM's tests to their end. When a VM goes down that had finished some of them, a new one runs the rest. */
  async #drive(vm: number, first: TestPart): Promise<void> {
    const { tell } = this.#options;
    for (let part = first; ; part = this.#restOf(vm)) {
      const before = this.#merged.rest(vm).length;
      const ending = await this.#runOnce(vm, part);
      if (ending.kind === "refused") this.#refused ??= ending;
      if (ending.kind !== "lost" || this.#ended) return;
      if (ending.error !== undefined) this.#failures.push(ending.error);
      if (this.#merged.tests === undefined) return;
      this.#merged.lose(vm, ending.why);
      const left = this.#merged.rest(vm).length;
      if (left === 0 || left === before) return;
      const [why = ""] = ending.why.split("\n", 1);
      tell(`VM ${vm + 1}: ${why}; another VM goes on with the ${left} tests that it left`);
    }
  }

  async #runOnce(vm: number, part: TestPart): Promise<Ending> {
    const { options, tell, startWorker } = this.#options;
    let ending: Ending | undefined;
    const text = (line: string): void => tell(`VM ${vm + 1}: ${line}`);
    const stdout = new LineWriter((line) => {
      const event = parseEvent(line);
      if (event === undefined) {
        text(line);
        return;
      }
      this.#merged.receive(vm, event);
      if (event.kind === "end") ending = { kind: "complete" };
      else if (event.kind === "refused") ending = event;
    });
    const stdin = new PassThrough();
    // The input stays open, since the guest may not have read the line yet.
    stdin.write(`${JSON.stringify({ options, part } satisfies Work)}\n`);
    try {
      const streams = { stdin, stdout, stderr: new LineWriter(text) };
      const { exitCode, ended, problems = [] } = await startWorker(vm, streams);
      for (const problem of problems) this.#merged.fail(`VM ${vm + 1}: ${problem}`);
      if (ended === "timeout") this.#overran ??= exitCode;
      return ending ?? { kind: "lost", why: `its test process ended with status ${exitCode}` };
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
      return { kind: "lost", why: error.message, error };
    }
  }

  #finish(): number {
    const { options, tell, keep } = this.#options;
    const { tests } = this.#merged;
    const stopped = this.#signal === undefined ? this.#overran : INTERRUPT_STATUS[this.#signal];
    if (this.#refused !== undefined && tests === undefined) {
      tell(this.#refused.message.trimEnd());
      return this.#refused.exitCode;
    }
    const [failure] = this.#failures;
    if (tests === undefined) {
      if (stopped !== undefined) return stopped;
      throw failure ?? noTestListed(this.#merged.errors);
    }
    const left = this.#merged.rest();
    if (stopped === undefined || left.length === 0) {
      this.#merged.giveUp(left, failure?.message ?? "no VM ran it");
    } else {
      const what = this.#signal ?? "the time-out";
      this.#merged.fail(`${what} ended the run: ${left.length} of ${tests.length} tests have no result`);
    }
    if (this.#refused !== undefined) this.#merged.fail(this.#refused.message.trimEnd());
    const run = this.#merged.end();
    if (tests.length === 0) return noneOf(options);
    const { measured } = this.#merged;
    keep(run, measured, measured.length === tests.length);
    tellTotals(options, run);
    return this.#signal === undefined ? exitCodeOf(run) : INTERRUPT_STATUS[this.#signal];
  }
}

/** The error of VMs that came up, and ended before they had listed the tests. */
function noTestListed(errors: readonly string[]): VfioError {
  const why = [...new Set(errors)];
  return new VfioError(`no VM listed its tests: ${why.length === 0 ? "none said why" : why.join("; ")}`, {
    code: "ERR_LAB_GUEST_LOST",
    operation: "lab run",
    remedy: "see what one VM does: vfio-selftests lab run --jobs 1 --console",
  });
}
