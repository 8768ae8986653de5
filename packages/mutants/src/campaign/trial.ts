/** A mutant to try in the VM, and how. */
export interface Trial {
  readonly number: number;
  /** The tests that may notice it, in the order in which they run. */
  readonly tests: readonly string[];
  /** In how many tests it makes a difference, even if a limit has left some out. */
  readonly of: number;
  /** The mutant is the first of its VM, so a failure is its own. An earlier VM also failed without it. */
  readonly fresh?: boolean;
}

/** How a program in the VM runs tests. */
export interface RunPlan {
  readonly key: string;
  /** Program and arguments to which `--run=ID` is added for each test. */
  readonly command: readonly string[];
  /** Milliseconds without output after which a run counts as hung. */
  readonly silenceMs: number;
}

/** The plan for the program that records tests one by one. */
export interface RecordPlan extends RunPlan {
  readonly tests: readonly string[];
  /** The file that gets a `TestReach` for each test. */
  readonly file: string;
}

/** The plan for the program that tries mutants. */
export interface TrialPlan extends RunPlan {
  readonly trials: readonly Trial[];
  /** The file that gets `CampaignLine`s. */
  readonly lines: string;
  /** Milliseconds that a test may take, where it is known how long it takes without a mutant. */
  readonly limitsMs?: Readonly<Record<string, number>>;
  /** Where the command runs jest: the variable that names another environment, which then tries many mutants in one process. */
  readonly environmentVariable?: string;
  /** For tests: the folder of the switch, with a log of the kernel. */
  readonly folder?: string;
}

/** The variable that names the file with the plan of an environment that tries mutants. */
export const TRIAL_PLAN = "VFIO_SELFTESTS_MUTANTS_PLAN";

/** The exit status of the program in the VM that asks for another VM. */
export const NEW_VM_STATUS = 75;
