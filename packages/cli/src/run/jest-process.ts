import { dirname, join } from "node:path";
import { runCLI } from "jest";
import type { HarnessEnvironmentOptions, HarnessReporterOptions } from "@vfio-selftests/harness";
import type { CoverageEnvironmentOptions } from "../coverage/coverage-environment";

/** The test files of this package, in `entries/`. */
export type SuiteEntry = "kernel" | "models";

/** What a process that runs tests is started with, as JSON on its command line. */
export interface JestProcessOptions {
  readonly entry: SuiteEntry;
  readonly environment: HarnessEnvironmentOptions | CoverageEnvironmentOptions;
}

/** A variable that names another jest environment, one that extends the harness's: what measures tests looks between them. */
export const JEST_ENVIRONMENT = "VFIO_SELFTESTS_JEST_ENVIRONMENT";

/** The descriptor by which it tells how the run goes on. */
export const CHANNEL = 3;

/** Runs jest in this process on one file of built JavaScript: nothing is transformed, cached or watched. */
async function runTests({ entry, environment }: JestProcessOptions): Promise<void> {
  const file = join(__dirname, "entries", `${entry}.js`);
  const rootDir = dirname(file);
  const config = {
    rootDir,
    roots: [rootDir],
    testMatch: ["**/*.js"],
    // jest's default leaves out node_modules, which is where an installed command has its test files.
    testPathIgnorePatterns: [],
    testEnvironment: testEnvironment(environment),
    testEnvironmentOptions: environment,
    reporters: [
      [require.resolve("@vfio-selftests/harness/reporter"), { channel: CHANNEL } satisfies HarnessReporterOptions],
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
}

function testEnvironment(options: JestProcessOptions["environment"]): string {
  if ("gcov" in options) return require.resolve("../coverage/coverage-environment.js");
  return process.env[JEST_ENVIRONMENT] ?? require.resolve("@vfio-selftests/harness/jest-environment");
}

if (require.main === module) {
  // A device's open handle must not keep a finished run alive.
  void runTests(JSON.parse(process.argv[2] ?? "") as JestProcessOptions).then(() => process.exit(0));
}
