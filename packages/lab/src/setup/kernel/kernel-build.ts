import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { DEFAULT_ARCHITECTURE } from "../../architecture/architecture";
import { execute } from "../../host/execute";
import { findProgram } from "../../host/find-program";
import type { LabHost } from "../../host/host";
import { type LostOption, lostOptions } from "./kernel-config";
import { fragmentText, type KernelFragment } from "./kernel-fragment";
import type { KernelRecipe } from "./kernel-recipe";
import { lackingOptions } from "./lacking-options";
import { linkedTree } from "./linked-tree";

/** Bytes of disk space for the source tree and the build, without debug information. */
export const KERNEL_BUILD_BYTES = 3 * 1024 * 1024 * 1024;

/** Where a build works. It goes on with what the last build left there. */
export interface BuildPlaces {
  /** make's output folder, which stays. */
  readonly build: string;
  /** Gets the finished kernel, by a rename: the image and `config`. */
  readonly kernel: string;
  /** make's output of the last step. */
  readonly log: string;
  /** make and its compilers hold this lock. Those of a killed set-up may work a moment longer. */
  readonly lock: string;
}

/** What ends a build, and who sees its output. */
export interface BuildOptions {
  /** Ends the build with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each line of make's output. */
  readonly onLine?: (line: string) => void;
}

/** Builds a kernel out of tree, incrementally. Resolves with the options that the kernel did not take: wanted
 * ones, and required ones that are younger than it. */
export async function buildKernel(
  host: LabHost,
  recipe: KernelRecipe,
  places: BuildPlaces,
  options: BuildOptions = {},
): Promise<LostOption[]> {
  const { fragment, architecture = DEFAULT_ARCHITECTURE.kernel, makeTargets = [] } = recipe;
  const tree = recipe.isShared === true ? linkedTree(recipe.tree, places.build) : recipe.tree;
  const build = recipe.isShared === true ? join(tree, "build") : places.build;
  mkdirSync(build, { recursive: true });
  const flock = findProgram(host, "flock");
  const alone = flock === undefined ? [] : [flock, "--no-fork", "--timeout", "120", places.lock];
  const compiler = findProgram(host, "ccache") === undefined ? [] : [`CC=ccache ${architecture.compiler}`];
  const make = async (...args: string[]): Promise<unknown> =>
    execute(
      host,
      [
        ...alone,
        "make",
        "-C",
        tree,
        `O=${build}`,
        "--no-print-directory",
        ...compiler,
        ...architecture.makeVariables,
        ...args,
      ],
      // A time stamp would make each kernel a different one, for ccache, too.
      { ...options, logFile: places.log, env: { KBUILD_BUILD_TIMESTAMP: "1970-01-01" } },
    ).catch((error: unknown) => {
      throw describeFailure(error, recipe.tree);
    });
  const config = join(build, ".config");
  const configured = join(build, "configured");
  if (!existsSync(configured) || readFileSync(configured, "utf8") !== fragment.key) {
    await make("tinyconfig");
    writeFileSync(config, `${readFileSync(config, "utf8")}\n${fragmentText(fragment)}`);
  }
  // A kept configuration needs this, too, because the tree may have new options.
  await make("olddefconfig");
  checkRequired(fragment, readFileSync(config, "utf8"), recipe.tree);
  writeFileSync(configured, fragment.key);
  await make(`-j${host.cpus}`, ...recipe.makeVariables, ...makeTargets, architecture.image);
  const unfinished = `${places.kernel}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  copyFileSync(join(build, architecture.builtImage), join(unfinished, architecture.image));
  copyFileSync(config, join(unfinished, "config"));
  rmSync(places.kernel, { recursive: true, force: true });
  renameSync(unfinished, places.kernel);
  return lostOptions([...fragment.required, ...fragment.wanted], readFileSync(join(places.kernel, "config"), "utf8"));
}

/** Describes make's failure. Any program may have met a full disk first, so only the output shows that. */
function describeFailure(error: unknown, tree: string): unknown {
  if (!(error instanceof VfioError) || error.code !== "ERR_LAB_PROGRAM_FAILED") return error;
  const { message } = error;
  if (message.includes("No space left on device")) {
    return new VfioError(`the disk is full\n${message}`, {
      code: "ENOSPC",
      operation: "make",
      subject: tree,
      remedy:
        "free some space, or set XDG_CACHE_HOME to a folder on a larger disk, and run it again: the build goes on",
    });
  }
  return new VfioError(tellMake(message), {
    code: error.code,
    operation: "make",
    subject: tree,
    remedy: "correct what make complains about, and run it again: the build goes on where it stopped",
  });
}

/** What make's output calls the first fault: a compiler's line, or make's own about a target. */
const FAULT = /^ {2}\| (.*(?:\berror: |\*\*\* ).*)$/m;

/** Names make, not the lock that it was started under, and puts the first fault into the message's first line. */
function tellMake(message: string): string {
  const [first = "", ...others] = message.split("\n");
  const [, fault] = FAULT.exec(message) ?? [];
  const told = first.replace(/^\S+ failed: /, "make failed: ");
  return [fault === undefined ? told : `${told}: ${fault.trim()}`, ...others].join("\n");
}

function checkRequired(fragment: KernelFragment, config: string, tree: string): void {
  const { required: lost } = lackingOptions(fragment, config);
  if (lost.length === 0) return;
  const list = lost.map(({ name, value, actual }) => `${name}=${value} (is ${actual})`).join(", ");
  throw new VfioError(`the configuration of the kernel in ${tree} does not take what is needed: ${list}`, {
    code: "ERR_LAB_KERNEL_CONFIG",
    operation: "make olddefconfig",
    subject: tree,
    remedy:
      "this version has renamed or dropped them, or what they depend on: adapt the lab's kernel/*.config, or leave out the --with that asks for them",
  });
}
