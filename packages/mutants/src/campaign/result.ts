/** What became of a mutant. */
export type MutantStatus =
  /** A test failed with it and passes without it. */
  | "killed"
  /** Every test passed; the kernel reported a fault of its own (WARNING, BUG, KASAN, …). */
  | "splat"
  /** The kernel panicked. */
  | "crashed"
  /** Tests, or the VM, did not go on. */
  | "timed-out"
  /** Every test in which it makes a difference passed. */
  | "survived"
  /** Tests pass its place, but in none would it have made a difference: no test can notice it. */
  | "no-difference"
  | "not-reached";

export interface MutantResult {
  readonly number: number;
  readonly status: MutantStatus;
  /** The test that failed, or at which the kernel crashed. */
  readonly by?: string;
  /** The first lines of the failure, or what the kernel said. */
  readonly why?: string;
  /** Tests that were skipped with it and run without it. */
  readonly skipped?: readonly string[];
  /** How many tests ran with it, of how many in which it makes a difference. */
  readonly ran?: number;
  readonly of?: number;
}

/** The mutant is noticed. */
export function isNoticed(status: MutantStatus): boolean {
  return status === "killed" || status === "splat" || status === "crashed" || status === "timed-out";
}

/** What the program in the VM writes, a line each, so that nothing is lost when the VM goes down. */
export type CampaignLine =
  | { readonly kind: "start"; readonly number: number; readonly tests: number }
  | { readonly kind: "result"; readonly result: MutantResult }
  /** The test also fails without the mutant: the VM has seen too much, the mutant is to be tried in a new one. */
  | { readonly kind: "stale"; readonly number: number; readonly test: string };

/** The lines of a file, without one that was being written when the VM went down. */
export function parseCampaignLines(text: string): CampaignLine[] {
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as CampaignLine];
    } catch {
      return [];
    }
  });
}
