import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import { execute, type LabHost } from "@vfio-selftests/lab";
import type { Verdict } from "./verdict";

export interface Commit {
  readonly hash: string;
  readonly subject: string;
  readonly author: string;
  readonly date: string;
}

/** Where a bisection stands. */
export type Position =
  | { readonly kind: "at"; readonly commit: Commit; readonly left: string }
  | { readonly kind: "found"; readonly commit: Commit }
  /** Only commits without a verdict are left: the first bad one is one of these, or lies between them. */
  | { readonly kind: "narrowed"; readonly commits: readonly Commit[] };

export interface BisectionOptions {
  readonly host: LabHost;
  /** The user's tree, which the bisection does not change. */
  readonly source: string;
  /** Where to make the work tree: a real path, without symbolic links. */
  readonly workTree: string;
  readonly signal: AbortSignal;
}

/** git's words for our verdicts. */
const TERMS = { good: "good", bad: "bad", skip: "skip" } as const;

/**
 * `git bisect` in a work tree of its own. git keeps the state of a bisection for each work tree, so the user's files,
 * index, HEAD and own bisection stay as they are. Disposal removes the work tree.
 */
export class GitBisection implements AsyncDisposable {
  readonly #options: BisectionOptions;

  private constructor(options: BisectionOptions) {
    this.#options = options;
  }

  /** Makes the work tree at a commit. Removes first one that a killed bisection left. */
  static async open(options: BisectionOptions, commit: Commit): Promise<GitBisection> {
    const bisection = new GitBisection(options);
    await bisection.#remove();
    mkdirSync(dirname(options.workTree), { recursive: true });
    try {
      await bisection.#source("worktree", "add", "--detach", options.workTree, commit.hash);
    } catch (error) {
      await bisection.#remove();
      throw error;
    }
    return bisection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
  }

  /** Checks out a commit in the work tree, outside a bisection. */
  async checkOut({ hash }: Commit): Promise<void> {
    await this.#git("checkout", "--quiet", "--detach", hash);
  }

  async start(good: Commit, bad: Commit): Promise<Position> {
    const told = await this.#git("bisect", "start", bad.hash, good.hash);
    return this.#position(told);
  }

  async mark(verdict: Verdict): Promise<Position> {
    try {
      return await this.#position(await this.#git("bisect", TERMS[verdict.kind]));
    } catch (error) {
      // git also fails when only commits without a verdict are left.
      const narrowed = await this.#narrowed();
      if (narrowed.length === 0) throw error;
      return { kind: "narrowed", commits: narrowed };
    }
  }

  /** A log in the form that `git bisect replay` reads. */
  log(): Promise<string> {
    return this.#git("bisect", "log");
  }

  async #position(told: string): Promise<Position> {
    const [, found] = /^([0-9a-f]{40,}) is the first bad commit$/m.exec(told) ?? [];
    if (found !== undefined) return { kind: "found", commit: await this.#describe(found) };
    const commit = await this.#describe("HEAD");
    return { kind: "at", commit, left: /^Bisecting: (.*)$/m.exec(told)?.[1] ?? "" };
  }

  async #narrowed(): Promise<Commit[]> {
    const log = await this.log();
    const hashes = [...log.matchAll(/^# possible first bad commit: \[([0-9a-f]+)\]/gm)].map(([, hash]) => hash ?? "");
    return Promise.all(hashes.map((hash) => this.#describe(hash)));
  }

  #describe(name: string): Promise<Commit> {
    return describeCommit(this.#options, name);
  }

  #git(...args: readonly string[]): Promise<string> {
    const { host, workTree, signal } = this.#options;
    return git(host, workTree, args, signal);
  }

  #source(...args: readonly string[]): Promise<string> {
    const { host, source, signal } = this.#options;
    return git(host, source, args, signal);
  }

  /** Runs without the signal, since it must also work after an interrupt. Leaves the user's other work trees alone. */
  async #remove(): Promise<void> {
    const { host, source, workTree } = this.#options;
    const known = await git(host, source, ["worktree", "list", "--porcelain"]);
    if (known.split("\n").includes(`worktree ${workTree}`)) {
      await git(host, source, ["worktree", "remove", "--force", "--force", workTree]);
    }
    rmSync(workTree, { recursive: true, force: true });
  }
}

/** The commit that a name stands for. */
export async function findCommit(
  options: Omit<BisectionOptions, "workTree">,
  name: string,
  what: string,
): Promise<Commit> {
  try {
    return await describeCommit(options, name);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!(error instanceof VfioError)) throw error;
    throw argumentError("lab bisect", what, name, `a commit of ${options.source}`);
  }
}

/** Throws where the bad commit is not newer than the good one: a bisection could find nothing. */
export async function requireGoodBeforeBad(
  options: Omit<BisectionOptions, "workTree">,
  good: Commit,
  bad: Commit,
): Promise<void> {
  const { host, source, signal } = options;
  const base = (await git(host, source, ["merge-base", good.hash, bad.hash], signal)).trim();
  if (base !== bad.hash) return;
  throw argumentError(
    "lab bisect",
    "commits",
    `${good.hash} ${bad.hash}`,
    "a good commit, and a bad one that has more",
  );
}

/** The top folder of the repository that holds this folder. */
export async function requireRepository(host: LabHost, folder: string, signal: AbortSignal): Promise<string> {
  try {
    return (await git(host, folder, ["rev-parse", "--show-toplevel"], signal)).trim();
  } catch (error) {
    signal.throwIfAborted();
    throw new VfioError(`${folder} is in no git repository`, {
      code: "ERR_LAB_KERNEL_TREE",
      operation: "lab bisect",
      subject: folder,
      remedy: "name a clone of a kernel tree with --source",
      cause: error,
    });
  }
}

/** Separates the fields of a commit: it occurs in no subject and no name. */
const SEPARATOR = "\u001f";

async function describeCommit(
  { host, source, signal, workTree = source }: Omit<BisectionOptions, "workTree"> & { readonly workTree?: string },
  name: string,
): Promise<Commit> {
  const format = ["%H", "%s", "%an <%ae>", "%ad"].join(SEPARATOR);
  const args = ["log", "-1", "--date=short", `--format=${format}`, "--end-of-options", `${name}^{commit}`];
  const [hash = "", subject = "", author = "", date = ""] = (await git(host, workTree, args, signal)).split(SEPARATOR);
  return { hash, subject, author, date };
}

function git(host: LabHost, folder: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  // Hooks are meant for the user's own git commands.
  return execute(host, ["git", "-C", folder, "-c", "core.hooksPath=/dev/null", ...args], { signal });
}
