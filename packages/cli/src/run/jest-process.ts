import { readSync } from "node:fs";
import { dirname, join } from "node:path";
import { runCLI } from "jest";
import type { HarnessEnvironmentOptions, HarnessReporterOptions } from "@vfio-selftests/harness";
import type { CoverageEnvironmentOptions } from "../coverage/coverage-environment";

/** The test files of this package, in `entries/`. */
export type SuiteEntry = "kernel" | "models";

/** What a process that runs tests gets, as a line of JSON on {@link CHANNEL}. */
export interface JestProcessOptions {
  readonly entry: SuiteEntry;
  readonly environment: HarnessEnvironmentOptions | CoverageEnvironmentOptions;
}

/** Names a variable for another jest environment. It extends the harness's, to measure something between the tests. */
export const JEST_ENVIRONMENT = "VFIO_SELFTESTS_JEST_ENVIRONMENT";

/** The descriptor of a socket, on which the process gets its options and then reports the run's progress. */
export const CHANNEL = 3;

/** Runs jest in this process on one file of built JavaScript: nothing is transformed, cached or watched. */
async function runTests({ entry, environment }: JestProcessOptions): Promise<void> {
  const file = join(__dirname, "entries", `${entry}.js`);
  const rootDir = dirname(file);
  const config = {
    rootDir,
    roots: [rootDir],
    testMatch: ["**/*.js"],
    // By default jest ignores node_modules, but that is where the test files of an installed command are.
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
    // jest takes the options of a whole run only from the project in the working directory.
    [process.cwd()],
  );
}

function testEnvironment(options: JestProcessOptions["environment"]): string {
  if ("gcov" in options) return require.resolve("../coverage/coverage-environment.js");
  return process.env[JEST_ENVIRONMENT] ?? require.resolve("@vfio-selftests/harness/jest-environment");
}

/** Blocks until the line is there. It ends early only when the other process does. */
function readLine(descriptor: number): string {
  const pieces: Buffer[] = [];
  const buffer = Buffer.alloc(65_536);
  for (;;) {
    const piece = buffer.subarray(0, readSync(descriptor, buffer));
    pieces.push(Buffer.from(piece));
    if (piece.length === 0 || piece.includes("\n")) return Buffer.concat(pieces).toString();
  }
}

if (require.main === module) {
  // A device's open handle must not keep a finished run alive.
  void runTests(JSON.parse(readLine(CHANNEL)) as JestProcessOptions).then(() => process.exit(0));
}
