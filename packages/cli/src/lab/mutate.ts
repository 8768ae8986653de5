import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  describeMachine,
  type LabMachineOptions,
  type LabRunOptions,
  runInLab,
  TextProgress,
} from "@vfio-selftests/lab";
import {
  isNoticed,
  killsOf,
  type KnownKill,
  listSample,
  measure,
  type Measurement,
  type MeasureOptions,
  mutantKernel,
  operatorLines,
  OPERATORS,
  STATUS_TEXT,
  summaryLines,
  survivorLines,
  type TriedMutant,
  tryKnownKills,
} from "@vfio-selftests/mutants";
import { ExitCode } from "../exit-codes";
import { asArguments, optionsOf } from "../options/option";
import { JEST_ENVIRONMENT } from "../run/jest-process";
import { SUITE_OPTIONS } from "../run/options";
import type { SuiteOptions } from "../run/run-options";
import { findPrograms } from "../upstream/find-programs";
import { installConsent } from "./consent";
import { MUTATE_DEFAULTS, type MutateOptions } from "./mutate-options";
import { MACHINE_OPTIONS, type MachineOptions } from "./options";
import { withModels } from "./served-models";

/** `lab mutate` */
export async function labMutate(options: MutateOptions): Promise<number> {
  const {
    with: variants = [],
    files,
    rebuild,
    built,
    sample,
    seed,
    operators,
    mostTests,
    mostSeconds,
    jobs,
    again,
  } = options;
  requireOperators(operators);
  const numbers = options.mutants?.map(requireNumber);
  const machine = machineOf(options);
  await withModels(machine, (served) => Promise.resolve(describeMachine(served)));
  const suite = await chooseSuite(options);
  const kills = options.known === undefined ? undefined : readKills(options.known);

  const progress = new TextProgress(process.stderr);
  const kernel = await mutantKernel(
    {
      variants,
      ...(files && { paths: files }),
      ...(rebuild && { rebuild }),
      ...(built && { onlyBuilt: built }),
      ...installConsent(options),
    },
    progress,
  ).finally(() => progress[Symbol.dispose]());
  process.stderr.write(`${kernel.mutants.length} mutants in kernel ${kernel.image}\n`);

  const choice = {
    kernel,
    machine: options.console === true ? { ...machine, console: process.stderr } : machine,
    ...suite,
    // Each VM has models of its own: one that a fault left in disorder does not reach the next VM.
    runInVm: (run: LabRunOptions) => withModels(run, runInLab),
    sample: sample ?? MUTATE_DEFAULTS.sample,
    seed: seed ?? MUTATE_DEFAULTS.seed,
    operators,
    numbers,
    mostTests,
    mostMs: mostSeconds === undefined ? undefined : mostSeconds * 1000,
    jobs,
    again,
  };
  if (options.list === true) {
    for (const line of listSample(choice)) console.log(line);
    return ExitCode.ok;
  }
  const told = {
    ...choice,
    onStep: (text: string) => process.stderr.write(`${text}\n`),
    onResult: (tried: TriedMutant, done: number, of: number) => console.log(resultLine(tried, done, of)),
  };
  if (kills !== undefined) return reportKnown(kills.length, await tryKnownKills(told, kills));
  const measured = await measure(told);
  if (options.keepKnown !== undefined) {
    writeFileSync(options.keepKnown, `${JSON.stringify(killsOf(measured.tried), undefined, 2)}\n`);
  }
  return report(measured);
}

function readKills(path: string): readonly KnownKill[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as KnownKill[];
  } catch (error) {
    throw argumentError("lab mutate", "known", path, `a file of --keep-known (${(error as Error).message})`);
  }
}

function reportKnown(of: number, { tried, complete, unknown }: Awaited<ReturnType<typeof tryKnownKills>>): number {
  const lost = tried.filter(({ result }) => !isNoticed(result.status));
  for (const { mutant, result } of lost) {
    console.log(`no longer noticed: ${mutant.file}:${mutant.line} ${mutant.function}: ${mutant.operator}`);
    for (const line of [...mutant.diff.split("\n"), STATUS_TEXT[result.status]]) console.log(`  ${line}`);
  }
  if (unknown.length > 0) console.log(`${unknown.length} of ${of} known mutants are not in this kernel`);
  if (!complete) console.log(`interrupted: ${of - unknown.length - tried.length} of ${of} were not tried`);
  console.log(`${tried.length - lost.length} of ${tried.length} known mutants noticed`);
  return complete && lost.length === 0 && tried.length > 0 ? ExitCode.ok : ExitCode.failed;
}

function machineOf(options: MutateOptions): LabMachineOptions {
  const {
    console: _console,
    yes: _yes,
    with: _with,
    source: _source,
    ...machine
  } = optionsOf<MachineOptions>(MACHINE_OPTIONS, options);
  return machine;
}

/** Our tests, or the kernel's own compiled ones. */
async function chooseSuite(options: MutateOptions): Promise<Pick<MeasureOptions, "command" | "recording">> {
  const program = [process.execPath, join(__dirname, "..", "main.js")];
  // `seed` is not the suites' option here, but the sample's.
  const {
    list: _list,
    seed: _seed,
    ...suites
  } = optionsOf<SuiteOptions>(SUITE_OPTIONS, { ...options, reporter: "tap" });
  const words = asArguments(SUITE_OPTIONS, suites);
  const { cSuite } = options;
  if (cSuite === undefined) {
    return { command: [...program, "run", ...words], recording: { environmentVariable: JEST_ENVIRONMENT } };
  }
  const ours = words.filter((word) => word !== "--reporter=tap");
  if (ours.length > 0) throw argumentError("lab mutate", "option", ours.join(" "), "no option of our suites");
  findPrograms(cSuite);
  const { UPSTREAM_IDS } = await import("@vfio-selftests/suites/upstream-ids");
  return {
    command: [...program, "upstream", `--dir=${resolve(cSuite)}`, "--program=vfio_", "--reporter=tap"],
    recording: { tests: UPSTREAM_IDS },
  };
}

function requireOperators(names: readonly string[] = []): void {
  const known = OPERATORS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw argumentError("lab mutate", "operator", unknown, known.join(", "));
}

function requireNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw argumentError("lab mutate", "mutant", text, "the number of a mutant");
  return Number(text);
}

function resultLine({ mutant, result }: TriedMutant, done: number, of: number): string {
  const by = result.by === undefined || result.by === "" ? "" : ` (${result.by})`;
  const place = `${mutant.file}:${mutant.line} ${mutant.function}`;
  return `${done}/${of} ${STATUS_TEXT[result.status]}: ${mutant.operator} ${place}${by}`;
}

function report({ tried, noticers, complete, folder }: Measurement): number {
  const survivors = survivorLines(tried, noticers);
  const summary = [...summaryLines(tried), "by operator, noticed of reached:", ...operatorLines(tried)];
  const file = join(folder, "report.txt");
  writeFileSync(file, [...summary, ...survivors, ""].join("\n"));
  for (const line of [...survivors, "", ...summary, `report: ${file}`]) console.log(line);
  if (!complete) console.log("interrupted: the same command goes on");
  return complete ? ExitCode.ok : ExitCode.failed;
}
