/**
 * The program in each of several VMs. It reads its `Work` from a line of standard input, and writes the events of its
 * run.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { eventLine, exitCodeOf } from "@vfio-selftests/harness";
import { reportError } from "../../report-error";
import { runPart } from "../../run/run-suites";
import type { Work } from "./work";

async function work(): Promise<number> {
  const [line] = (await once(createInterface({ input: process.stdin }), "line")) as [string];
  const { options, part } = JSON.parse(line) as Work;
  try {
    return exitCodeOf(await runPart(options, [{ format: "events" }], part));
  } catch (error) {
    let message = "";
    const exitCode = reportError(error, (text) => (message += text));
    process.stdout.write(eventLine({ kind: "refused", message, exitCode }));
    return exitCode;
  }
}

void work().then((code) => process.exit(code));
