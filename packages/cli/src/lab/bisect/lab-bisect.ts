import { createHash } from "node:crypto";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import {
  DEFAULT_ARCHITECTURE,
  INTERRUPT_STATUS,
  type InterruptSignal,
  LAB_DEFAULTS,
  labCache,
  type LabHost,
  onInterrupt,
  takeCacheLock,
  TextProgress,
  thisHost,
} from "@vfio-selftests/lab";
import { ExitCode } from "../../exit-codes";
import { asArguments, optionsOf } from "../../options/option";
import { SUITE_OPTIONS } from "../../run/options";
import { requireWritable } from "../../run/report-file";
import type { SuiteOptions } from "../../run/run-options";
import { prepareLab, withMachine } from "../in-lab";
import { bisect, type Laboratory, short } from "./bisect";
import { findCommit, GitBisection, requireGoodBeforeBad, requireRepository } from "./git-bisection";
import { KeptVerdicts } from "./kept-verdicts";
import { KernelLaboratory } from "./kernel-laboratory";
import { BISECT_MACHINE_OPTIONS, type BisectMachineOptions, type BisectOptions } from "./options";
import { summary } from "./summary";

/** What the bisection needs of its surroundings; a unit test replaces it. */
export interface BisectSurroundings {
  readonly host: LabHost;
  /** Takes the summary. */
  readonly print: (text: string) => void;
  /** Takes a line of progress. */
  readonly tell: (line: string) => void;
  readonly makeLaboratory: (tree: string) => Laboratory;
}

/** `lab bisect`. Resolves to the exit code: 0 when the commit was found, 1 when only a range is left. */
export async function labBisect(commits: readonly string[], options: BisectOptions): Promise<number> {
  const machine = optionsOf<BisectMachineOptions>(BISECT_MACHINE_OPTIONS, options);
  await prepareLab(machine);
  using progress = new TextProgress(process.stderr);
  return await bisectWith(commits, options, {
    host: thisHost(),
    print: (text) => process.stdout.write(text),
    tell: (line) => process.stderr.write(`${line}\n`),
    makeLaboratory: (tree) =>
      new KernelLaboratory({
        tree,
        variants: options.with ?? [],
        suiteArguments: asArguments<SuiteOptions>(SUITE_OPTIONS, suiteOptions(options)),
        machine,
        withMachine,
        progress,
      }),
  });
}

/** The bisection itself. The surroundings decide what builds kernels and runs tests. */
export async function bisectWith(
  commits: readonly string[],
  options: BisectOptions,
  { host, print, tell, makeLaboratory }: BisectSurroundings,
): Promise<number> {
  const [goodName, badName, ...more] = commits;
  if (goodName === undefined || badName === undefined || more.length > 0) throw twoCommits(commits);
  if (options.output !== undefined) requireWritable(options.output, "lab bisect");
  const abort = new AbortController();
  let interrupt: InterruptSignal | undefined;
  using _interrupts = onInterrupt((signal) => {
    interrupt ??= signal;
    abort.abort(interrupted(signal));
  });
  const { signal } = abort;
  const source = await requireRepository(host, resolve(options.source ?? "."), signal);
  const repository = { host, source, signal };
  const good = await findCommit(repository, goodName, "GOOD");
  const bad = await findCommit(repository, badName, "BAD");
  await requireGoodBeforeBad(repository, good, bad);

  const folder = folderFor(host, source);
  using _lock = await takeCacheLock(host, join(folder, "lock"), {
    signal,
    onWait: (holder) => tell(`waiting for another bisection of ${source} (${holder})`),
  });
  const verdicts = new KeptVerdicts(join(folder, "verdicts.json"), questionOf(options));
  if (verdicts.size > 0) tell(`going on with ${verdicts.size} verdicts of an interrupted bisection`);
  const workTree = join(folder, "tree");
  tell(`bisecting in a work tree of its own, ${workTree}; ${source} stays as it is`);
  await using git = await GitBisection.open({ host, source, workTree, signal }, bad);
  try {
    const laboratory = makeLaboratory(workTree);
    const checkInterrupt = (): void => signal.throwIfAborted();
    const result = await bisect({ git, laboratory, verdicts, good, bad, tell, checkInterrupt });
    const log = await git.log();
    const test = options.test;
    const text = summary(result, { test, good, bad, machine: machineText(options), reproduce: commands(options), log });
    if (options.output !== undefined) writeFileSync(options.output, text);
    print(text);
    verdicts.forget();
    return result.position.kind === "found" ? ExitCode.ok : ExitCode.failed;
  } catch (error) {
    if (interrupt === undefined) {
      // An end that does not fit the question. Its verdict must not answer the same command again: what kept the kernel from booting
      // may be mended by then.
      if (error instanceof VfioError && error.code === "ERR_INVALID_ARGUMENT") verdicts.forget();
      throw error;
    }
    tell(
      `${interrupt}: ${verdicts.size} verdicts are kept; the same command goes on from there (${short(good)} … ${short(bad)})`,
    );
    return INTERRUPT_STATUS[interrupt];
  }
}

/** Each repository has its own folder: the build folder in the cache depends on the work tree's path. */
function folderFor(host: LabHost, source: string): string {
  const name = createHash("sha1").update(source).digest("hex").slice(0, 12);
  const folder = join(labCache(host).folder, "bisect", name);
  mkdirSync(folder, { recursive: true });
  return realpathSync(folder);
}

/** What the verdicts depend on besides the commit. */
function questionOf(options: BisectOptions): string {
  const { output: _output, source: _source, yes: _yes, console: _console, ...asked } = options;
  return JSON.stringify(Object.entries(asked).sort());
}

function machineText({
  devices = LAB_DEFAULTS.devices,
  iommu = DEFAULT_ARCHITECTURE.iommus[0].name,
  with: variants,
}: BisectOptions): string {
  const kernel = variants === undefined ? "" : `, a kernel with ${variants.join(", ")}`;
  return `${devices.join(", ")} behind an IOMMU of kind ${iommu}${kernel}`;
}

/** Command lines that show the failure to the reader of the summary, for the top folder of a kernel tree. */
function commands(options: BisectOptions): string[] {
  const machine = asArguments<BisectMachineOptions>(
    BISECT_MACHINE_OPTIONS,
    optionsOf<BisectMachineOptions>(BISECT_MACHINE_OPTIONS, options),
  );
  const kernel = ["--source .", ...(options.with === undefined ? [] : [`--with ${options.with.join(",")}`])];
  const suites = asArguments<SuiteOptions>(SUITE_OPTIONS, suiteOptions(options)).map((word) => `'${word}'`);
  return [
    ["vfio-selftests lab setup", ...kernel].join(" "),
    ["vfio-selftests lab run", ...kernel, ...machine, ...suites].join(" "),
  ];
}

function suiteOptions({ test, mode, driver, full }: BisectOptions): SuiteOptions {
  return {
    reporter: "default",
    test,
    ...(mode === undefined ? {} : { mode }),
    ...(driver === undefined ? {} : { driver }),
    ...(full === undefined ? {} : { full }),
  };
}

function interrupted(signal: string): VfioError {
  return new VfioError(`lab bisect was ended by ${signal}`, {
    code: "ERR_LAB_INTERRUPTED",
    operation: "lab bisect",
    remedy: "run it again: it goes on where it stopped",
  });
}

function twoCommits(commits: readonly string[]): Error {
  return new VfioError(`lab bisect takes two commits, GOOD and BAD; ${commits.length} were given`, {
    code: "ERR_INVALID_ARGUMENT",
    operation: "lab bisect",
    remedy: "vfio-selftests lab bisect v7.2 v7.3 -t ID --source TREE",
  });
}
