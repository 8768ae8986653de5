import { Supervisor } from "./supervisor";
import type { JestOutcome, JestRun } from "./test-run";

/**
 * Runs the tests in a process of their own, which this one watches. A test that ends its process or hangs fails, and
 * the run goes on with the next test in a new process.
 */
export async function runJest(run: JestRun): Promise<JestOutcome> {
  using supervisor = new Supervisor(run);
  return await supervisor.run();
}
