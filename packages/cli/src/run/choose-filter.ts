import { readFileSync } from "node:fs";
import { argumentError, errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import type { TestFilter } from "@vfio-selftests/harness";
import type { RunOptions } from "./run-options";

type FilterOptions = Pick<RunOptions, "test" | "run" | "upstream" | "except">;

/** Which tests the options want. Throws for a pattern that is no regular expression. */
export async function chooseFilter({ test, run, upstream, except }: FilterOptions): Promise<TestFilter> {
  if (test !== undefined) {
    try {
      new RegExp(test);
    } catch (error) {
      throw argumentError("run", "test", test, `a regular expression (${(error as Error).message})`);
    }
  }
  const ids = upstream === true ? await upstreamIds(run) : run;
  return {
    ...(test === undefined ? {} : { pattern: test }),
    ...(ids === undefined ? {} : { ids }),
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
      remedy: "give --except a file with ids of tests, a line each",
    });
  }
}

/** Upstream's ids; of those named, the ones among them. */
async function upstreamIds(named: readonly string[] | undefined): Promise<readonly string[]> {
  const { UPSTREAM_IDS } = await import("@vfio-selftests/suites/upstream-ids");
  return named === undefined ? UPSTREAM_IDS : UPSTREAM_IDS.filter((id) => named.includes(id));
}

/** Without a test that matches there is nothing to run or list, which is a mistake in the command line. */
export function noTestMatches({ test, run = [], upstream }: FilterOptions): Error {
  const given = [test, ...run, upstream === true ? "--upstream" : undefined].filter((part) => part !== undefined);
  return argumentError("run", "test", given.join(" "), "a pattern or id that --list without it shows");
}
