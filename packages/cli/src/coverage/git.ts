import { execFileSync } from "node:child_process";
import { VfioError } from "@vfio-selftests/core/errors";
import { type FilePatch, type Hunk, parsePatch } from "@vfio-selftests/coverage";

/** A patch may be a whole merge window. */
const OUTPUT_BYTES = 1024 * 1024 * 1024;

/** What has changed in a work tree since a commit. Files that git does not track yet are left out. */
export function changesSince(tree: string, ref: string): FilePatch[] {
  // `--end-of-options`, since git would take a ref that begins with `-` as an option.
  const commit = git(tree, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`]).trim();
  if (commit === "") {
    throw new VfioError(`git knows no commit ${JSON.stringify(ref)} in ${tree}`, {
      code: "ERR_INVALID_ARGUMENT",
      operation: "git rev-parse",
      subject: ref,
      remedy: "give --changed a commit, tag or branch of the kernel tree: HEAD, HEAD~3, origin/master",
    });
  }
  const plain = ["--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/"];
  return parsePatch(git(tree, ["-c", "core.quotePath=off", "diff", "-U0", ...plain, commit, "--"]));
}

/** The patch that turns one file into the other. */
export function changesBetween(before: string, after: string): readonly Hunk[] {
  const plain = ["--no-index", "--no-ext-diff", "--no-textconv", "--no-color", "-U0"];
  return parsePatch(git("/", ["diff", ...plain, "--", before, after])).at(0)?.hunks ?? [];
}

/** git's standard output. A status of 1 is an answer: the files differ, or no commit has the name. */
function git(folder: string, args: readonly string[]): string {
  try {
    return execFileSync("git", ["-C", folder, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: OUTPUT_BYTES,
    });
  } catch (error) {
    const { status, stdout, stderr, message } = error as { status?: number; stdout?: string; stderr?: string } & Error;
    if (status === 1 && stdout !== undefined) return stdout;
    throw new VfioError(`git failed in ${folder}: ${stderr === undefined || stderr === "" ? message : stderr.trim()}`, {
      code: "ERR_LAB_PROGRAM_FAILED",
      operation: "git",
      subject: folder,
      remedy: "give --source a kernel tree that is a git work tree, or type the command in one",
    });
  }
}
