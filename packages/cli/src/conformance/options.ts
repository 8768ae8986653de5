import type { ReportFormatName } from "@vfio-selftests/harness";

/** The options of `conformance`. */
export interface ConformanceOptions {
  readonly server?: string;
  readonly client?: boolean;
  readonly socketPath?: string;
  readonly model?: string;
  readonly test?: string;
  readonly list?: boolean;
  readonly timeoutMs?: number;
  readonly reporter: ReportFormatName;
  readonly output?: string;
}
