import type { CampaignLine, MutantResult } from "../campaign/result";
import type { Trial } from "../campaign/trial";

/** What the course of trials needs of the VM. */
export interface CourseRig {
  activate(number: number): void;
  deactivate(): void;
  /** What the kernel has reported of itself since the last call. */
  splats(): readonly string[];
  tell(line: CampaignLine): void;
}

/** A test as part of a trial: with the mutant, or once more without it. */
export interface Attempt {
  readonly trial: Trial;
  /** The test's. */
  readonly id: string;
  readonly kind: "try" | "check";
}

export type AttemptEnd =
  { readonly kind: "passed" } | { readonly kind: "skipped" } | { readonly kind: "failed"; readonly failure: string };

/** All attempts that trials may come to, in their order. */
export function attemptsOf(trials: readonly Trial[]): Attempt[] {
  return trials.flatMap((trial) => [
    ...trial.tests.map((id) => ({ trial, id, kind: "try" as const })),
    ...trial.tests.map((id) => ({ trial, id, kind: "check" as const })),
  ]);
}

/**
 * What becomes of trials whose tests all run in one process. A mutant is on from its first test to the first that fails; that test
 * then runs without it. Where it fails again, the VM has seen too much, and nothing more is tried in it.
 */
export class TrialCourse {
  readonly #rig: CourseRig;
  #trial: Trial | undefined;
  #skipped: string[] = [];
  #failed: { readonly test: string; readonly failure: string; readonly splat: string | undefined } | undefined;
  #stopped = false;

  constructor(rig: CourseRig) {
    this.#rig = rig;
  }

  /** Before each attempt: whether it is to be made. */
  begin({ trial, id, kind }: Attempt): boolean {
    if (this.#trial !== undefined && this.#trial !== trial) this.finish();
    if (this.#stopped) return false;
    if (kind === "check") {
      // The trial is over: no other test of it comes.
      if (this.#trial === trial && this.#failed === undefined) this.finish();
      return this.#failed?.test === id;
    }
    if (this.#trial === undefined) this.#start(trial);
    return this.#failed === undefined;
  }

  end({ trial, id, kind }: Attempt, end: AttemptEnd): void {
    if (kind === "check") {
      this.#settle(trial, end.kind === "passed");
    } else if (end.kind === "skipped") {
      this.#skipped.push(id);
    } else if (end.kind === "failed") {
      this.#rig.deactivate();
      this.#failed = { test: id, failure: end.failure, splat: this.#rig.splats()[0] };
    }
  }

  /** After the last attempt. */
  finish(): void {
    const trial = this.#trial;
    if (trial === undefined || this.#failed !== undefined) return;
    this.#rig.deactivate();
    const [splat] = this.#rig.splats();
    this.#tell(trial, {
      ...(splat === undefined ? { status: "survived" } : { status: "splat", why: splat }),
      ...(this.#skipped.length > 0 && { skipped: this.#skipped }),
    });
    // A kernel that has found a fault in itself may go on finding it.
    this.#stopped = splat !== undefined;
  }

  #start(trial: Trial): void {
    this.#trial = trial;
    this.#skipped = [];
    this.#failed = undefined;
    this.#rig.tell({ kind: "start", number: trial.number, tests: trial.tests.length });
    this.#rig.splats();
    this.#rig.activate(trial.number);
  }

  #settle(trial: Trial, works: boolean): void {
    const failed = this.#failed;
    if (failed === undefined) return;
    const { test, failure, splat } = failed;
    if (!works && trial.fresh !== true) {
      this.#rig.tell({ kind: "stale", number: trial.number, test });
      this.#trial = undefined;
    } else this.#tell(trial, { status: "killed", by: test, why: splat ?? failure });
    this.#failed = undefined;
    this.#stopped = !works || (splat !== undefined && !isWarningAtPlace(splat));
  }

  #tell({ number, tests, of }: Trial, result: Omit<MutantResult, "number">): void {
    this.#trial = undefined;
    this.#rig.tell({ kind: "result", result: { number, ran: tests.length, of, ...result } });
  }
}

/** WARN_ON and its like: the kernel told, and went on. lockdep's reports begin alike, but lockdep is off after one. */
function isWarningAtPlace(splat: string): boolean {
  return /^WARNING: .* at /.test(splat);
}
