import type { Mutant } from "../source/mutant";

/** What became of a mutant. */
export type MutantStatus =
  /** A test failed with it and passes without it. */
  | "killed"
  /** Every test passed; the kernel reported a fault of its own (WARNING, BUG, KASAN, …). */
  | "splat"
  /** The kernel panicked. */
  | "crashed"
  /** A test or the VM hung. */
  | "timed-out"
  /** Every test in which it makes a difference passed. */
  | "survived"
  /** Tests run its place, but it would have made a difference in none, so no test can notice it. */
  | "no-difference"
  | "not-reached";

/** What became of one mutant. */
export interface MutantResult {
  /** The mutant's number in its kernel. */
  readonly number: number;
  /** What became of it. */
  readonly status: MutantStatus;
  /** The test that failed, or at which the kernel crashed. */
  readonly by?: string;
  /** The first lines of the failure, or of the kernel's report. */
  readonly why?: string;
  /** Tests that skip with it and run without it. */
  readonly skipped?: readonly string[];
  /** How many tests ran with it, of how many in which it makes a difference. */
  readonly ran?: number;
  /** See `ran`. */
  readonly of?: number;
}

/** A mutant and what became of it. */
export interface TriedMutant {
  /** The mutant. */
  readonly mutant: Mutant;
  /** What became of it. */
  readonly result: MutantResult;
}

/** Whether somebody noticed the mutant: a test, the kernel, or a watchdog. */
export function isNoticed(status: MutantStatus): boolean {
  return status === "killed" || status === "splat" || status === "crashed" || status === "timed-out";
}

/** What the program in the VM writes, one line at a time, so that nothing is lost when the VM goes down. */
export type CampaignLine =
  | { readonly kind: "start"; readonly number: number; readonly tests: number }
  | { readonly kind: "result"; readonly result: MutantResult }
  /** The test also fails without the mutant. Earlier mutants have broken this VM, so a new one must try this mutant. */
  | { readonly kind: "stale"; readonly number: number; readonly test: string };

/** The lines of a file. It leaves out a line that the VM could not finish. */
export function parseCampaignLines(text: string): CampaignLine[] {
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as CampaignLine];
    } catch {
      return [];
    }
  });
}
