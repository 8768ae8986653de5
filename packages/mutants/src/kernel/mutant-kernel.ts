import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { buildLabKernel, labCache, type LabHost, type Progress, thisHost } from "@vfio-selftests/lab";
import { OPERATORS } from "../operators/table";
import { cParser } from "../source/c-parser";
import type { Mutant } from "../source/mutant";
import { dropFailing } from "./drop-failing";
import { MutantSet } from "./mutant-set";
import { SWITCH_FOLDERS, writeMutants } from "./mutated-tree";
import { DEFAULT_PATHS, readSourceFiles } from "./source-files";

/** A kernel that holds mutants, and what is known of them. */
export interface MutantKernel {
  /** Identifies the set of mutants. The running kernel shows the same key. */
  readonly key: string;
  /** Its variants, as in `kasan-lockdep`; `plain` for none. */
  readonly variant: string;
  /** The image's path. */
  readonly image: string;
  /** What the kernel needs on its command line. */
  readonly parameters: readonly string[];
  /** How many times longer a boot and a test may take. */
  readonly slowdown: number;
  /** The mutants that it holds. */
  readonly mutants: readonly Mutant[];
  /** How many candidates did not compile, or are in files that this kernel leaves out. */
  readonly notBuilt: number;
}

/** Which files to mutate, and how to build the kernel. */
export interface MutantKernelOptions {
  /** Kernel variants: kasan, lockdep, … */
  readonly variants?: readonly string[];
  /** Folders and files of the kernel tree. */
  readonly paths?: readonly string[];
  /** Builds even when there is a kernel already. */
  readonly rebuild?: boolean;
  /** Fail when there is none, instead of building it. */
  readonly onlyBuilt?: boolean;
  /** Decides whether to install missing packages. Default: no. */
  readonly mayInstall?: Parameters<typeof buildLabKernel>[0]["mayInstall"];
  /** The machine. Default: this one. */
  readonly host?: LabHost;
}

const MOST_BUILDS = 25;
const PLAIN = "plain";

/** The last kernel with these options, or a new one. */
export async function mutantKernel(options: MutantKernelOptions, progress: Progress): Promise<MutantKernel> {
  const { variants = [], paths = DEFAULT_PATHS, host = thisHost() } = options;
  const variant = [...variants].sort().join("-") || PLAIN;
  const record = join(mutantsFolder(host), "kernels", `${variant}.json`);
  const kept = options.rebuild === true ? undefined : readRecord(record);
  if (kept !== undefined && kept.paths.join() === paths.join() && existsSync(kept.image)) return { ...kept, variant };

  if (options.onlyBuilt === true) throw notBuilt();

  const parser = await cParser();
  let set: MutantSet | undefined;
  let builds = 0;
  const built = await buildLabKernel(
    {
      host,
      variants,
      ...(options.mayInstall && { mayInstall: options.mayInstall }),
      patch: {
        name: "mutants",
        folders: [
          ...new Set([...paths.map((path) => (/\.[ch]$/.test(path) ? dirname(path) : path)), ...SWITCH_FOLDERS]),
        ],
        apply(tree) {
          set ??= new MutantSet(parser, readSourceFiles(tree, paths), OPERATORS);
          writeMutants(tree, set);
        },
        afterFailure(output) {
          builds += 1;
          return builds < MOST_BUILDS && set !== undefined && dropFailing(set, output) > 0;
        },
      },
    },
    progress,
  );
  if (set === undefined) throw new Error("the kernel was built without its patch");
  const kernel = { ...describe(set, built.build), image: built.image, parameters: built.parameters };
  const complete = { ...kernel, variant, slowdown: built.slowdown, paths };
  mkdirSync(dirname(record), { recursive: true });
  writeFileSync(record, JSON.stringify(complete));
  return complete;
}

/** The folder with the records of mutant kernels, and with results. */
export function mutantsFolder(host: LabHost = thisHost()): string {
  return join(labCache(host).folder, "mutants");
}

/** The folder with the results of a kernel. One of another variant notices other mutants. */
export function resultsFolder({ key, variant }: Pick<MutantKernel, "key" | "variant">, host?: LabHost): string {
  return join(mutantsFolder(host), variant === PLAIN ? key : `${key}-${variant}`);
}

/** The mutants in the kernel. A file that was not compiled has no object in the build folder. */
export function describe(set: MutantSet, build: string): Pick<MutantKernel, "key" | "mutants" | "notBuilt"> {
  const isBuilt = (path: string): boolean =>
    !path.endsWith(".c") || existsSync(join(build, path.replace(/\.c$/, ".o")));
  const mutants = set.mutants().filter(({ file }) => isBuilt(file));
  return { key: set.key(), mutants, notBuilt: set.size - mutants.length };
}

function notBuilt(): VfioError {
  return new VfioError("no kernel with these mutants was built yet", {
    code: "ERR_LAB_KERNEL_NOT_BUILT",
    operation: "lab mutate",
    remedy: "run `vfio-selftests lab mutate` without --built: some ten minutes on two CPUs, once",
  });
}

function readRecord(path: string): (MutantKernel & { readonly paths: readonly string[] }) | undefined {
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, "utf8")) as MutantKernel & { readonly paths: readonly string[] };
}
