import type { ReportFormatName } from "@vfio-selftests/suites/runner";

/** The options of `run`, as the command line gives them. */
export interface RunOptions {
  readonly device?: readonly string[];
  readonly mode?: readonly string[];
  readonly driver?: readonly string[];
  readonly test?: string;
  readonly run?: readonly string[];
  readonly upstream?: boolean;
  readonly full?: boolean;
  readonly kvmIrq?: string;
  readonly list?: boolean;
  readonly reporter: ReportFormatName;
  readonly output?: string;
}
