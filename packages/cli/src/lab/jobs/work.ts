import type { TestPart } from "@vfio-selftests/harness";
import type { RunOptions } from "../../run/run-options";

/** The work of one of several VMs, as a line of JSON that its worker reads. */
export interface Work {
  readonly options: RunOptions;
  readonly part: TestPart;
}
