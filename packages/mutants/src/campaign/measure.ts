import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { type LabMachineOptions } from "@vfio-selftests/lab";
import { RECORD_FILE, RECORD_KEY } from "../guest/recording-environment";
import { type MutantKernel, mutantsFolder } from "../kernel/mutant-kernel";
import type { Mutant } from "../source/mutant";
import { readResults, tryAll } from "./campaign";
import { findKills, type KnownKill } from "./known-kills";
import { parseReach, planTrial, ReachTable } from "./reach";
import type { TriedMutant } from "./report";
import type { MutantResult } from "./result";
import { drawSample, seededRandom } from "./sample";
import type { TestReach } from "./test-reach";
import type { Trial } from "./trial";
import { recordEachInVm, recordInVm, tryInVm } from "./vm";

/** Which mutants to try, on what, and with which tests. */
export interface MeasureOptions {
  readonly kernel: MutantKernel;
  readonly machine: LabMachineOptions;
  /** Program and arguments that run the suites in the VM and print their results as TAP. */
  readonly command: readonly string[];
  /** How to find out which mutants a test reaches. */
  readonly recording: Recording;
  /** How many mutants in lines that the tests reach. */
  readonly sample: number;
  readonly seed: number;
  /** Only these operators, or only these mutants. */
  readonly operators?: readonly string[] | undefined;
  readonly numbers?: readonly number[] | undefined;
  /** The most tests for a mutant. Default: all in which it makes a difference. */
  readonly mostTests?: number | undefined;
  /** Records anew which test reaches what, and tries those mutants again that no test noticed. */
  readonly again?: boolean | undefined;
  readonly onStep?: (text: string) => void;
  readonly onResult?: (tried: TriedMutant, done: number, of: number) => void;
}

export type Recording =
  /** One run of all tests in jest. This variable gives the program another jest environment. */
  | { readonly environmentVariable: string }
  /** A run of each of these tests, in whatever language they are. */
  | { readonly tests: readonly string[] };

/** What became of the mutants that were tried. */
export interface Measurement {
  readonly tried: readonly TriedMutant[];
  /** The tests in which a mutant makes a difference. */
  readonly noticers: (number: number) => readonly string[];
  /** False after an interruption. The next measurement goes on. */
  readonly complete: boolean;
  /** Where the results are. */
  readonly folder: string;
}

/** Tries a sample of mutants on a machine. It does not repeat earlier trials. */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  const { kernel, onStep = () => undefined } = options;
  const folder = join(mutantsFolder(), kernel.key, machineName(options));
  mkdirSync(folder, { recursive: true });
  const lines = join(folder, "results.jsonl");

  const reach = new ReachTable(await recordedReach(options, folder, onStep));
  const sample = chooseSample(options, reach);
  const results = readResults(lines);
  if (options.again === true) {
    for (const [number, { status }] of results) if (status === "survived") results.delete(number);
  }
  for (const { number } of sample) {
    const settled = resultWithoutTrial(number, reach);
    if (settled !== undefined) results.set(number, settled);
  }

  const left = sample.filter(({ number }) => !results.has(number));
  const trials = planTrials(left, sample, results, reach, options.mostTests);
  onStep(`${sample.length} mutants drawn, ${trials.length} of them to be tried in the VM`);
  const environmentVariable = variableOf(options.recording);
  const byNumber = new Map(sample.map((mutant) => [mutant.number, mutant]));
  let done = 0;
  const complete = await tryAll(
    {
      lines,
      runVm: (queue) => tryInVm({ ...options, environmentVariable, folder, lines, longestMs: reach.longestMs }, queue),
      onResult(result) {
        results.set(result.number, result);
        done += 1;
        const mutant = byNumber.get(result.number);
        if (mutant !== undefined) options.onResult?.({ mutant, result }, done, trials.length);
      },
    },
    trials,
  );
  const tried = sample.flatMap((mutant) => {
    const result = results.get(mutant.number);
    return result === undefined ? [] : [{ mutant, result }];
  });
  return { tried, noticers: (number) => reach.noticers(number), complete, folder };
}

/** Tries mutants that a test has killed before, each on that test alone: nothing is recorded, nothing is kept. */
export async function tryKnownKills(
  options: MeasureOptions,
  kills: readonly KnownKill[],
): Promise<Pick<Measurement, "tried" | "complete"> & { readonly unknown: readonly KnownKill[] }> {
  const { kernel, recording } = options;
  const folder = join(mutantsFolder(), kernel.key, `${machineName(options)}-known`);
  mkdirSync(folder, { recursive: true });
  const lines = join(folder, "results.jsonl");
  rmSync(lines, { force: true });
  const { trials, unknown } = findKills(kills, kernel.mutants);
  const environmentVariable = variableOf(recording);
  const tried: TriedMutant[] = [];
  const complete = await tryAll(
    {
      lines,
      runVm: (queue) => tryInVm({ ...options, environmentVariable, folder, lines, longestMs: 0 }, queue),
      onResult(result) {
        const mutant = kernel.mutants.find(({ number }) => number === result.number);
        if (mutant === undefined) return;
        tried.push({ mutant, result });
        options.onResult?.({ mutant, result }, tried.length, trials.length);
      },
    },
    trials,
  );
  return { tried, complete, unknown };
}

/** The sample for a developer, with the results so far. It needs no VM. */
export function listSample(options: MeasureOptions): string[] {
  const folder = join(mutantsFolder(), options.kernel.key, machineName(options));
  const file = join(folder, "reach.jsonl");
  const reach = existsSync(file) ? new ReachTable(parseReach(readFileSync(file, "utf8"))) : undefined;
  const results = readResults(join(folder, "results.jsonl"));
  return chooseSample(options, reach).flatMap(({ number, file: path, line, function: name, operator, diff }) => [
    `${path}:${line} ${name}: ${operator} (mutant ${number}), ${results.get(number)?.status ?? "not tried"}`,
    ...diff.split("\n").map((text) => `  ${text}`),
  ]);
}

/** Undefined where the command runs no jest. */
function variableOf(recording: Recording): string | undefined {
  return "tests" in recording ? undefined : recording.environmentVariable;
}

/** The folder's name: another machine and other tests have results of their own. */
function machineName({ machine, command }: MeasureOptions): string {
  const { devices = [], iommu = "", cpus = 0, kernelParameters = [] } = machine;
  // The program's own path says nothing about the tests.
  const words = [devices.join(), iommu, cpus, kernelParameters.join(), ...command.slice(2)];
  const hash = createHash("sha256").update(JSON.stringify(words)).digest("hex").slice(0, 8);
  return [...(devices.length > 0 ? devices.map((name) => name.replace(/\W+/g, "-")) : ["default"]), hash].join("-");
}

async function recordedReach(
  options: MeasureOptions,
  folder: string,
  onStep: (text: string) => void,
): Promise<TestReach[]> {
  const file = join(folder, "reach.jsonl");
  if (options.again === true || !existsSync(file)) {
    const unfinished = `${file}.tmp`;
    rmSync(unfinished, { force: true });
    writeFileSync(unfinished, "");
    const { recording, kernel } = options;
    if ("tests" in recording) {
      onStep(`a run of each of ${recording.tests.length} tests finds out which mutants it reaches`);
      await recordEachInVm({ ...options, folder }, recording.tests, unfinished);
    } else {
      onStep("one run of all tests finds out which of them reach which mutants");
      await recordInVm(options, folder, {
        [recording.environmentVariable]: require.resolve("../guest/recording-environment.js"),
        [RECORD_KEY]: kernel.key,
        [RECORD_FILE]: unfinished,
      });
    }
    if (parseReach(readFileSync(unfinished, "utf8")).length === 0) {
      throw new VfioError("no test ran that could reach a mutant", {
        code: "ERR_MUTANTS_KERNEL",
        operation: "lab mutate",
        remedy: "look at what the run above says",
      });
    }
    renameSync(unfinished, file);
  }
  return parseReach(readFileSync(file, "utf8"));
}

/** The mutants of the sample, and those drawn on the way that no test reaches. */
function chooseSample(options: MeasureOptions, reach: ReachTable | undefined): Mutant[] {
  const { kernel, numbers, operators, sample: size, seed } = options;
  if (numbers !== undefined) return kernel.mutants.filter(({ number }) => numbers.includes(number));
  const wanted = kernel.mutants.filter(({ operator }) => operators?.includes(operator) !== false);
  const drawn: Mutant[] = [];
  let reached = 0;
  for (const mutant of drawSample(wanted, wanted.length, seededRandom(seed))) {
    if (reached === size) break;
    drawn.push(mutant);
    if (reach?.isReached(mutant.number) !== false) reached += 1;
  }
  return drawn;
}

function resultWithoutTrial(number: number, reach: ReachTable): MutantResult | undefined {
  if (!reach.isReached(number)) return { number, status: "not-reached" };
  return reach.noticers(number).length === 0 ? { number, status: "no-difference" } : undefined;
}

function planTrials(
  left: readonly Mutant[],
  sample: readonly Mutant[],
  results: ReadonlyMap<number, MutantResult>,
  reach: ReachTable,
  most: number | undefined,
): Trial[] {
  const killers = new Map<string, Set<string>>();
  for (const { number, file } of sample) {
    const by = results.get(number)?.by;
    if (by === undefined) continue;
    const known = killers.get(file);
    if (known === undefined) killers.set(file, new Set([by]));
    else known.add(by);
  }
  return left.map(({ number, file }) =>
    planTrial(number, reach.noticers(number), killers.get(file) ?? new Set(), most),
  );
}
