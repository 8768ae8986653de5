import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { thisHost } from "@vfio-selftests/lab";
import { bisectWith } from "./lab-bisect";
import type { BisectOptions } from "./options";
import type { RunResult } from "./verdict";

const COMMITS = 16;

// Each test starts git some hundred times, which takes seconds on a busy machine.
jest.setTimeout(120_000);

let folder = "";
let tree = "";
const git = (...args: readonly string[]): string =>
  execFileSync("git", ["-C", tree, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** A repository of 17 commits: `number` holds 0 to 16, each commit is tagged `c0` to `c16`. */
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "bisect-")));
  tree = join(folder, "linux");
  mkdirSync(tree);
  git("init", "--quiet");
  git("config", "user.name", "A. Developer");
  git("config", "user.email", "dev@example.org");
  for (let number = 0; number <= COMMITS; number++) {
    writeFileSync(join(tree, "number"), `${number}\n`);
    git("add", "number");
    git("commit", "--quiet", "--message", `vfio: change ${number}`);
    git("tag", `c${number}`);
  }
  // The user's own bisection and files, which must be there unchanged afterwards.
  git("bisect", "start", "c9", "c3");
  writeFileSync(join(tree, "untracked"), "");
  writeFileSync(join(tree, "number"), "being edited\n");
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Everything in the user's tree that a bisection could change. */
function stateOfTree(): object {
  return {
    head: git("rev-parse", "HEAD"),
    status: git("status", "--porcelain"),
    refs: git("for-each-ref"),
    bisection: git("bisect", "log"),
    workTrees: git("worktree", "list"),
    number: readFileSync(join(tree, "number"), "utf8"),
  };
}

interface Scenario {
  /** What the kernel of a commit does. Runs are numbered from 0. */
  runs?: (number: number, run: number) => RunResult;
  /** The error that the build throws, for commits that do not build. */
  breaks?: (number: number) => Error | undefined;
  cache?: string;
  output?: string;
}

interface Told {
  code: number;
  text: string;
  lines: string[];
  built: number[];
}

const fails: RunResult = { kind: "failed", failure: "vfio_x.t\nexpect(received).toBe(expected)" };
const passes: RunResult = { kind: "passed" };
const since =
  (first: number) =>
  (number: number): RunResult =>
    number >= first ? fails : passes;

async function run(scenario: Scenario, commits = ["c0", "c16"], given: Partial<BisectOptions> = {}): Promise<Told> {
  const { runs = since(11), breaks, cache = mkdtempSync(join(folder, "cache-")) } = scenario;
  let text = "";
  const [lines, built]: [string[], number[]] = [[], []];
  const code = await bisectWith(
    commits,
    { test: "vfio_x", source: tree, ...given },
    {
      host: { ...thisHost(), env: { ...process.env, XDG_CACHE_HOME: cache } },
      print: (part) => (text += part),
      tell: (line) => lines.push(line),
      makeLaboratory: (workTree) => ({
        prepare: async () => {
          const number = Number(readFileSync(join(workTree, "number"), "utf8"));
          built.push(number);
          const error = breaks?.(number);
          if (error !== undefined) throw error;
          let count = 0;
          return Promise.resolve(() => Promise.resolve(runs(number, count++)));
        },
      }),
    },
  );
  return { code, text, lines, built };
}

/** Checks that the user's tree is the same before and after, and that no work tree is left in the cache. */
async function leavingTheTree<T>(scenario: Scenario, action: (scenario: Scenario) => Promise<T>): Promise<T> {
  const cache = mkdtempSync(join(folder, "cache-"));
  const before = stateOfTree();
  try {
    return await action({ ...scenario, cache });
  } finally {
    expect(stateOfTree()).toEqual(before);
    const base = join(cache, "vfio-selftests", "bisect");
    for (const name of existsSync(base) ? readdirSync(base) : [])
      expect(readdirSync(join(base, name))).not.toContain("tree");
  }
}

const doesNotBuild = (): VfioError =>
  new VfioError("make failed: exit status 2", { code: "ERR_LAB_PROGRAM_FAILED", operation: "make" });

test.each([1, 2, 8, 11, 15, 16])("finds the first bad commit of sixteen: %i", async (first) => {
  const { code, text, built } = await leavingTheTree({ runs: since(first) }, (scenario) => run(scenario));
  expect(code).toBe(0);
  expect(text).toContain(`"vfio: change ${first}"`);
  expect(text).toContain(`#regzbot introduced: ${git("rev-parse", `c${first}`)}`);
  // Both ends and four steps, the logarithm of sixteen; one more where git rounds the middle differently.
  expect(built.length).toBeLessThanOrEqual(2 + 5);
});

test("the summary is a mail: author, commit, failure, how to see it again, log", async () => {
  const output = join(folder, "mail.txt");
  const { text } = await run({}, ["c0", "c16"], { output, iommu: "amd", with: ["kasan"], mode: ["iommufd"] });
  expect(readFileSync(output, "utf8")).toBe(text);
  expect(text).toMatch(
    /^Subject: \[REGRESSION\] vfio_x fails since "vfio: change 11"\nTo: A\. Developer <dev@example\.org>\n/,
  );
  expect(text).toContain("  | expect(received).toBe(expected)\n");
  expect(text).toContain("igb behind an IOMMU of kind amd, a kernel with kasan");
  expect(text).toContain("  vfio-selftests lab setup --source . --with kasan\n");
  expect(text).toContain(
    "  vfio-selftests lab run --source . --with kasan --iommu=amd '--mode=iommufd' '--test=vfio_x'\n",
  );
  expect(text).toContain("# first bad commit: ");
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThan(160);
});

test("what does not build or boot, or has no test, is skipped", async () => {
  const errors = new Map([
    [8, doesNotBuild()],
    [9, new VfioError("the guest did not boot", { code: "ERR_LAB_BOOT", operation: "lab run" })],
  ]);
  const { code, text } = await run({
    runs: (number) => (number === 7 ? { kind: "skipped", why: "no device" } : since(11)(number)),
    breaks: (number) => errors.get(number),
  });
  expect(code).toBe(0);
  expect(text).toContain('"vfio: change 11"');
  expect(text).toMatch(/, [1-3] of them without a verdict/);
});

test("a range that cannot be tested is named as such", async () => {
  const { code, text } = await leavingTheTree(
    { breaks: (number) => (number > 5 && number < 11 ? doesNotBuild() : undefined) },
    (scenario) => run(scenario),
  );
  expect(code).toBe(1);
  for (const number of [6, 7, 8, 9, 10, 11]) expect(text).toContain(`("vfio: change ${number}")`);
  expect(text).not.toContain('("vfio: change 5")');
  expect(text).not.toContain("regzbot");
});

test("an end that could not be tested is asked anew by the same command", async () => {
  const cache = mkdtempSync(join(folder, "cache-"));
  const noBoot = new VfioError("the guest did not boot", { code: "ERR_LAB_BOOT", operation: "lab run" });
  await expect(run({ cache, breaks: () => noBoot })).rejects.toThrow("cannot be tested: the guest did not boot");
  const { code, built } = await run({ cache });
  expect(code).toBe(0);
  expect(built[0]).toBe(16);
});

test("a flaky verdict is run again, and told", async () => {
  const { code, text, lines } = await run({
    // On a bad kernel one run of three passes.
    runs: (number, count) => (number >= 11 && count % 3 !== 1 ? fails : passes),
  });
  expect(code).toBe(0);
  expect(text).toContain('since "vfio: change 11"');
  expect(text).toContain("it passes at one time and fails at another");
  expect(lines.some((line) => line.includes("(flaky)"))).toBe(true);
});

describe("an interrupt", () => {
  test.each([1, 2, 4])("in build %i leaves the tree as it was; the next one goes on from there", async (at) => {
    await leavingTheTree({}, async ({ cache }) => {
      let builds = 0;
      const first = await run({
        ...(cache === undefined ? {} : { cache }),
        breaks: () => {
          builds += 1;
          if (builds === at) process.emit("SIGINT", "SIGINT");
          return builds === at ? doesNotBuild() : undefined;
        },
      });
      expect(first).toMatchObject({ code: 130, text: "" });
      expect(first.lines.at(-1)).toContain(`${at - 1} verdicts are kept`);
      const second = await run(cache === undefined ? {} : { cache });
      expect(second.text).toContain('since "vfio: change 11"');
      expect(second.built.filter((number) => first.built.slice(0, -1).includes(number))).toEqual([]);
    });
    expect(process.listenerCount("SIGINT")).toBe(0);
  });

  test("in a run says nothing of the commit", async () => {
    const result = await run({
      runs: () => {
        process.emit("SIGTERM", "SIGTERM");
        return fails;
      },
    });
    expect(result.code).toBe(143);
    expect(result.lines.at(-1)).toContain("0 verdicts are kept");
  });
});

test("a bisection that was killed leaves a work tree, which the next one takes away", async () => {
  const cache = mkdtempSync(join(folder, "cache-"));
  const dies = new Error("killed");
  // What a killed process would have left is made by hand here.
  await run({ cache });
  const [name = ""] = readdirSync(join(cache, "vfio-selftests", "bisect"));
  const left = join(cache, "vfio-selftests", "bisect", name, "tree");
  git("worktree", "add", "--quiet", "--detach", "--lock", left, "c5");
  expect((await run({ cache })).code).toBe(0);
  expect(git("worktree", "list")).not.toContain(left);
  await expect(run({ cache, breaks: () => dies })).rejects.toBe(dies);
  expect(git("worktree", "list")).not.toContain(left);
});

describe("is refused, with the reason:", () => {
  test.each<[string, string[], RegExp]>([
    ["a name that is no commit", ["c0", "c99"], /BAD is "c99"; allowed: a commit of/],
    ["a name that would be an option", ["--all", "c16"], /GOOD is "--all"/],
    ["a bad commit before the good one", ["c16", "c3"], /a good commit, and a bad one that has more/],
    ["the same commit twice", ["c3", "c3"], /a good commit, and a bad one that has more/],
    ["one commit", ["c3"], /takes two commits, GOOD and BAD; 1 were given/],
    ["three commits", ["c3", "c4", "c5"], /3 were given/],
    ["a good commit on which the test fails", ["c12", "c16"], /good is .*fails; allowed|good is .*fails.*allowed/],
    ["a bad commit on which the test passes", ["c0", "c10"], /bad is .*passes.*allowed/],
  ])("%s", async (_name, commits, message) => {
    await leavingTheTree({}, async (scenario) => {
      await expect(run(scenario, commits)).rejects.toMatchObject({
        code: "ERR_INVALID_ARGUMENT",
        message: expect.stringMatching(message) as string,
      });
    });
  });

  test("a folder that is in no repository", async () => {
    const source = mkdtempSync(join(tmpdir(), "no-repository-"));
    await expect(run({}, ["c0", "c16"], { source })).rejects.toMatchObject({ code: "ERR_LAB_KERNEL_TREE" });
    rmSync(source, { recursive: true });
  });

  test("an error that is none of the tree's", async () => {
    const full = new VfioError("the disk is full", { code: "ENOSPC", operation: "make" });
    await leavingTheTree({ breaks: () => full }, async (scenario) => {
      await expect(run(scenario)).rejects.toBe(full);
    });
  });
});
