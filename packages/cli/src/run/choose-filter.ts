import { readFileSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { argumentError, errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import type { TestFilter, TestIdentity } from "@vfio-selftests/harness";
import { lastFailed } from "./last-run";
import type { RunOptions } from "./run-options";

type FilterOptions = Pick<RunOptions, "test" | "run" | "upstream" | "lastFailed" | "shard" | "except">;

/** The tests that the options choose. Throws for a pattern that is not a regular expression. */
export async function chooseFilter({
  test,
  run,
  upstream,
  lastFailed: onlyFailed,
  shard,
  except,
}: FilterOptions): Promise<TestFilter> {
  if (test !== undefined) {
    try {
      new RegExp(test);
    } catch (error) {
      throw argumentError("run", "test", test, `a regular expression (${(error as Error).message})`);
    }
  }
  const named = onlyFailed === true ? failedAmong(run) : run;
  const ids = upstream === true ? await upstreamIds(named) : named;
  return {
    ...(test === undefined ? {} : { pattern: test }),
    ...(ids === undefined ? {} : { ids }),
    ...(shard === undefined ? {} : { shard }),
    ...(except === undefined ? {} : { except: idsIn(except) }),
  };
}

function idsIn(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "run", {
      message: `cannot read ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give --except a file with ids of tests, one a line",
    });
  }
}

/** The ids of upstream's tests. Where tests are named, only the named ones among them. */
async function upstreamIds(named: readonly string[] | undefined): Promise<readonly string[]> {
  const { UPSTREAM_IDS } = await import("@vfio-selftests/suites/upstream-ids");
  return named === undefined ? UPSTREAM_IDS : UPSTREAM_IDS.filter((id) => named.includes(id));
}

/** The ids that failed in the last run. Where tests are named, only the named ones among them. */
export function failedAmong(named: readonly string[] | undefined): readonly string[] {
  const failed = lastFailed();
  return named === undefined ? failed : failed.filter((id) => named.includes(id));
}

/** The error for a command line that no test matches: there is nothing to run or list. */
export function noTestMatches({ test, run = [], upstream, lastFailed: onlyFailed }: FilterOptions): Error {
  const flags = [upstream === true ? "--upstream" : undefined, onlyFailed === true ? "--last-failed" : undefined];
  const given = [test, ...run, ...flags].filter((part) => part !== undefined);
  return unknownTest(`no test matches "${given.join(" ")}"`, "give a pattern or an id of what --list alone shows");
}

function unknownTest(message: string, remedy: string): Error {
  return new VfioError(message, { code: "ERR_INVALID_ARGUMENT", operation: "run", subject: "test", remedy });
}

/**
 * Throws for an id of `-r` that none of these tests has: otherwise the run would pass without it. `--upstream` and
 * `--last-failed` choose among the ids, so with them an id may name no test.
 */
export function requireNamed({ run = [], upstream, lastFailed }: FilterOptions, tests: readonly TestIdentity[]): void {
  if (upstream === true || lastFailed === true) return;
  const known = new Set(tests.map(({ id }) => id));
  const unknown = run.filter((id) => !known.has(id));
  if (unknown.length > 0)
    throw unknownTest(`no test has the id "${unknown.join(" ")}"`, "give an id that --list shows");
}
