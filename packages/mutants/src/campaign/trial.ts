/** A mutant that is to be tried in the VM, and how. */
export interface Trial {
  readonly number: number;
  /** The tests that may notice it, in the order in which they run. */
  readonly tests: readonly string[];
  /** In how many it makes a difference, where a limit has left some out. */
  readonly of: number;
  /** A VM before this one failed its first test also without it: here it is the first, and a failure is its own. */
  readonly fresh?: boolean;
}

/** How a program in the VM runs tests. */
export interface RunPlan {
  readonly key: string;
  /** Program and arguments to which `--run=ID` is added for each test. */
  readonly command: readonly string[];
  /** Milliseconds without a word after which a run hangs. */
  readonly silenceMs: number;
}

/** What the program gets that records tests one by one. */
export interface RecordPlan extends RunPlan {
  readonly tests: readonly string[];
  /** The file that gets a `TestReach` for each. */
  readonly file: string;
}

/** What the program gets that tries mutants. */
export interface TrialPlan extends RunPlan {
  readonly trials: readonly Trial[];
  /** The file that gets `CampaignLine`s. */
  readonly lines: string;
  /** Where the command runs jest: the variable that names another environment, which then tries many mutants in one process. */
  readonly environmentVariable?: string;
  /** For tests: the folder of the switch, with a log of the kernel. */
  readonly folder?: string;
}

/** The variable that names the file with the plan of an environment that tries mutants. */
export const TRIAL_PLAN = "VFIO_SELFTESTS_MUTANTS_PLAN";

/** The exit status of the program in the VM that asks for another VM. */
export const NEW_VM_STATUS = 75;
