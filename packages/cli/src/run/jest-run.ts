import { dirname, join } from "node:path";
import { runCLI } from "jest";
import {
  type HarnessEnvironmentOptions,
  type HarnessReporterOptions,
  type RunOutcome,
  runState,
  type TargetOptions,
  type TestFilter,
} from "@vfio-selftests/harness";
import type { CoverageEnvironmentOptions } from "../coverage/coverage-environment";

/** A variable that names another jest environment, one that extends the harness's: what measures tests looks between them. */
export const JEST_ENVIRONMENT = "VFIO_SELFTESTS_JEST_ENVIRONMENT";

/** The test files of this package, in `entries/`. */
export type SuiteEntry = "kernel" | "models";

export interface JestRun extends Required<HarnessReporterOptions> {
  readonly entry: SuiteEntry;
  readonly target: TargetOptions;
  readonly filter: TestFilter;
  /** Gets what the kernel ran in each test. */
  readonly gcov?: string | undefined;
}

/** Runs jest in this process on one file of built JavaScript: nothing is transformed, cached or watched. */
export async function runJest({ entry, target, filter, gcov, plan, reports }: JestRun): Promise<RunOutcome> {
  const file = join(__dirname, "entries", `${entry}.js`);
  const rootDir = dirname(file);
  const config = {
    rootDir,
    roots: [rootDir],
    testMatch: ["**/*.js"],
    // jest's default leaves out node_modules, which is where an installed command has its test files.
    testPathIgnorePatterns: [],
    ...environment({ filter, target }, gcov),
    reporters: [
      [require.resolve("@vfio-selftests/harness/reporter"), { plan, reports } satisfies HarnessReporterOptions],
    ],
    transform: {},
    moduleFileExtensions: ["js", "json", "node"],
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
  const { outcome } = runState();
  if (outcome === undefined) throw new Error("jest ended without a report");
  return outcome;
}

function environment(
  options: HarnessEnvironmentOptions,
  gcov: string | undefined,
): { testEnvironment: string; testEnvironmentOptions: HarnessEnvironmentOptions } {
  if (gcov === undefined) {
    const testEnvironment =
      process.env[JEST_ENVIRONMENT] ?? require.resolve("@vfio-selftests/harness/jest-environment");
    return { testEnvironment, testEnvironmentOptions: options };
  }
  const testEnvironmentOptions: CoverageEnvironmentOptions = { ...options, gcov };
  return { testEnvironment: require.resolve("../coverage/coverage-environment.js"), testEnvironmentOptions };
}
