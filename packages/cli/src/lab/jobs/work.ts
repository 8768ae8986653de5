import type { TestPart } from "@vfio-selftests/harness";
import type { RunOptions } from "../../run/run-options";

/** What one VM of several is given to do: the line that its worker reads. */
export interface Work {
  readonly options: RunOptions;
  readonly part: TestPart;
}
