import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { resultsFolder } from "../kernel/mutant-kernel";
import type { Mutant } from "../source/mutant";
import { readResults, tryAll } from "./campaign";
import { findKills, type KnownKill } from "./known-kills";
import { type KilledMutant, TrialPlanner } from "./plan-trial";
import { parseReach, ReachTable } from "./reach";
import { recordedReach, type Recording } from "./recording";
import type { MutantResult, TriedMutant } from "./result";
import { drawSample, seededRandom } from "./sample";
import type { Trial } from "./trial";
import { tryInVm, type VmOptions } from "./vm";

/** Which mutants to try, on what, and with which tests. */
export interface MeasureOptions extends VmOptions {
  /** Which test reaches which mutant. */
  readonly recording: Recording;
  /** How many VMs share the recording run. Default 1. */
  readonly jobs?: number | undefined;
  /** How many mutants in lines that the tests reach. */
  readonly sample: number;
  /** The seed of the sample. The same seed draws the same mutants. */
  readonly seed: number;
  /** Only these operators, or only these mutants. */
  readonly operators?: readonly string[] | undefined;
  /** See `operators`. */
  readonly numbers?: readonly number[] | undefined;
  /** The most tests for a mutant. Default: all in which it makes a difference. */
  readonly mostTests?: number | undefined;
  /** The most time for the tests of a mutant, in milliseconds, as they took without it. Default: no limit. */
  readonly mostMs?: number | undefined;
  /** Records anew which test reaches what, and tries those mutants again that no test noticed. */
  readonly again?: boolean | undefined;
  /** Called when a step begins, with a line for people. */
  readonly onStep?: (text: string) => void;
  /** Called with each mutant that was tried, how many are done, and of how many. */
  readonly onResult?: (tried: TriedMutant, done: number, of: number) => void;
}

/** What became of the mutants that were tried. */
export interface Measurement {
  /** The mutants that were tried, with what became of each. */
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
  const folder = join(resultsFolder(kernel), machineName(options));
  mkdirSync(folder, { recursive: true });
  const lines = join(folder, "results.jsonl");

  const reach = new ReachTable(await recordedReach(options, folder));
  const sample = chooseSample(options, reach);
  const results = readResults(lines);
  for (const { number } of sample) {
    const settled = resultWithoutTrial(number, reach);
    if (settled !== undefined) results.set(number, settled);
  }

  const byNumber = new Map(kernel.mutants.map((mutant) => [mutant.number, mutant]));
  const planner = new TrialPlanner(reach, kernel.mutants, options);
  const plan = (mutant: Mutant): Trial => planner.plan(mutant, killedMutants(results, byNumber));
  const trials = sample.map(plan).filter((trial) => isLeft(trial, results.get(trial.number), options));
  onStep(`${sample.length} mutants drawn, ${trials.length} of them to be tried in the VM`);
  const environmentVariable = variableOf(options.recording);
  let done = 0;
  const complete = await tryAll(
    {
      lines,
      runVm: (queue) =>
        // What the VMs before this one have found out changes the order of the tests.
        tryInVm(
          { ...options, environmentVariable, folder, lines, reach },
          queue.map((trial) => {
            const mutant = byNumber.get(trial.number);
            return mutant === undefined ? trial : { ...trial, ...plan(mutant) };
          }),
        ),
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
  const folder = join(resultsFolder(kernel), `${machineName(options)}-known`);
  mkdirSync(folder, { recursive: true });
  const lines = join(folder, "results.jsonl");
  rmSync(lines, { force: true });
  const { trials, unknown } = findKills(kills, kernel.mutants);
  const environmentVariable = variableOf(recording);
  const tried: TriedMutant[] = [];
  const complete = await tryAll(
    {
      lines,
      runVm: (queue) => tryInVm({ ...options, environmentVariable, folder, lines }, queue),
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
  const folder = join(resultsFolder(options.kernel), machineName(options));
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

/**
 * Whether a mutant is to be tried: when it was not, when it is asked for by number, and when it survived less than the tests that now
 * may run.
 */
function isLeft(
  { number, tests }: Trial,
  result: MutantResult | undefined,
  { numbers, again }: Pick<MeasureOptions, "numbers" | "again">,
): boolean {
  if (result === undefined) return true;
  if (result.status === "not-reached" || result.status === "no-difference") return false;
  if (numbers?.includes(number) === true) return true;
  return result.status === "survived" && (again === true || (result.ran ?? 0) < tests.length);
}

function killedMutants(
  results: ReadonlyMap<number, MutantResult>,
  byNumber: ReadonlyMap<number, Mutant>,
): KilledMutant[] {
  return [...results.values()].flatMap(({ number, status, by }) => {
    const mutant = byNumber.get(number);
    if (status !== "killed" || by === undefined || mutant === undefined) return [];
    return [{ file: mutant.file, function: mutant.function, by }];
  });
}
