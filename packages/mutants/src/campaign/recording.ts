import { appendFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { RECORD_DONE, RECORD_FILE, RECORD_KEY } from "../guest/recording-environment";
import { parseReach } from "./reach";
import type { TestReach } from "./test-reach";
import { recordEachInVm, recordInVm, type VmOptions } from "./vm";

/** How to find out which mutants a test reaches. */
export type Recording =
  /** One run of all tests in jest. This variable gives the program another jest environment. */
  | { readonly environmentVariable: string }
  /** A run of each of these tests, in whatever language they are. */
  | { readonly tests: readonly string[] };

export interface RecordingOptions extends VmOptions {
  readonly recording: Recording;
  /** How many VMs share the tests. Default 1. A run of each test takes one. */
  readonly jobs?: number | undefined;
  /** Records anew what was recorded before. */
  readonly again?: boolean | undefined;
  readonly onStep?: (text: string) => void;
}

/** What each test reaches, as recorded in the folder before, or now. An interrupted recording goes on where it was. */
export async function recordedReach(options: RecordingOptions, folder: string): Promise<TestReach[]> {
  const file = join(folder, "reach.jsonl");
  const { again = false, recording } = options;
  if (!again && existsSync(file)) return readReach(file);
  const unfinished = `${file}.tmp`;
  if (again) rmSync(unfinished, { force: true });
  if (!existsSync(unfinished)) writeFileSync(unfinished, "");
  if ("tests" in recording) await recordEachTest(options, recording.tests, folder, unfinished);
  else await recordRun(options, recording.environmentVariable, folder, unfinished);
  if (readReach(unfinished).length === 0) throw nothingRecorded();
  renameSync(unfinished, file);
  return readReach(file);
}

async function recordRun(
  options: RecordingOptions,
  environmentVariable: string,
  folder: string,
  unfinished: string,
): Promise<void> {
  const { kernel, command, jobs = 1, onStep } = options;
  // Each VM writes to a file of its own. What is there now, an earlier recording has left.
  collectParts(folder, unfinished);
  const done = readReach(unfinished).length;
  onStep?.(
    `one run of all tests finds out which of them reach which mutants${done === 0 ? "" : `; ${done} tests did so before`}`,
  );
  const runs = Array.from({ length: jobs }, (_, index) => index + 1).map(async (part) =>
    recordInVm({ ...options, command: jobs === 1 ? command : [...command, `--shard=${part}/${jobs}`] }, folder, {
      [environmentVariable]: require.resolve("../guest/recording-environment.js"),
      [RECORD_KEY]: kernel.key,
      [RECORD_DONE]: unfinished,
      [RECORD_FILE]: `${unfinished}.${part}`,
    }),
  );
  const ends = await Promise.allSettled(runs);
  collectParts(folder, unfinished);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

async function recordEachTest(
  options: RecordingOptions,
  tests: readonly string[],
  folder: string,
  unfinished: string,
): Promise<void> {
  const done = new Set(readReach(unfinished).map(({ test }) => test));
  const left = tests.filter((test) => !done.has(test));
  options.onStep?.(`a run of each of ${left.length} tests finds out which mutants it reaches`);
  if (left.length > 0) await recordEachInVm({ ...options, folder }, left, unfinished);
}

/** Moves the records of all parts to the file. */
function collectParts(folder: string, file: string): void {
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith(`${basename(file)}.`))) {
    const part = join(folder, name);
    // A VM that went down may have left half a line.
    for (const record of readReach(part)) appendFileSync(file, `${JSON.stringify(record)}\n`);
    rmSync(part);
  }
}

function readReach(file: string): TestReach[] {
  return parseReach(readFileSync(file, "utf8"));
}

function nothingRecorded(): VfioError {
  return new VfioError("no test ran that could reach a mutant", {
    code: "ERR_MUTANTS_KERNEL",
    operation: "lab mutate",
    remedy: "look at what the run above says",
  });
}
