import { dirname } from "node:path";
import {
  board,
  type ReportFormatName,
  type RunOutcome,
  type RunPlan,
  type TestFilter,
} from "@vfio-selftests/suites/runner";
import { runCLI } from "jest";

export interface JestRun {
  /** The test file: a built entry of the suites package. */
  readonly file: string;
  readonly filter: TestFilter;
  readonly plan: Partial<RunPlan>;
  readonly reports: readonly { readonly format: ReportFormatName; readonly file?: string }[];
}

/** Runs jest in this process on one file of built JavaScript: nothing is transformed, cached or watched. */
export async function runJest({ file, filter, plan, reports }: JestRun): Promise<RunOutcome> {
  const rootDir = dirname(file);
  const config = {
    rootDir,
    roots: [rootDir],
    testMatch: ["**/*.js"],
    // Installed, the test file lies below node_modules, which jest leaves out by default.
    testPathIgnorePatterns: [],
    testEnvironment: require.resolve("@vfio-selftests/suites/jest-environment"),
    testEnvironmentOptions: { filter },
    reporters: [[require.resolve("@vfio-selftests/suites/reporter"), { plan, reports }]],
    transform: {},
    moduleFileExtensions: ["js", "json", "node"],
    testTimeout: 30_000,
  };
  await runCLI(
    {
      $0: "vfio-selftests",
      _: [file],
      runTestsByPath: true,
      config: JSON.stringify(config),
      runInBand: true,
      watchman: false,
      cache: false,
    },
    // jest takes the options of a whole run only from the project that is the working directory.
    [process.cwd()],
  );
  const { run } = board();
  if (run === undefined) throw new Error("jest ended without a report");
  return run;
}
