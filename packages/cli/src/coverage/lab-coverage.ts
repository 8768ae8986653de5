import {
  type Coverage,
  type FileCoverage,
  functionShares,
  type Share,
  shareTable,
  treeShares,
} from "@vfio-selftests/coverage";
import { ExitCode } from "../exit-codes";
import type { CoverageOptions } from "../lab/options";
import { countingKernel } from "./counting-kernel";
import { columnsOf } from "./coverage-columns";
import { CoverageStore } from "./coverage-store";
import { describePatch, patchLines } from "./patch-tests";

const NOTHING: FileCoverage = { lines: new Map(), functions: new Map() };

/** `lab coverage`: shows what was measured of each file or function, or of the lines of a patch. */
export function labCoverage({ changed, functions, ...kernel }: CoverageOptions): Promise<number> {
  if (changed !== undefined) {
    const source = kernel.source ?? process.cwd();
    process.stdout.write(describePatch(patchLines(countingKernel({ ...kernel, source }), source, changed)));
    return Promise.resolve(ExitCode.ok);
  }
  const database = new CoverageStore(countingKernel(kernel)).database();
  if (functions === undefined) {
    process.stdout.write(shareTable(...columnsOf(database, treeShares)));
    return Promise.resolve(ExitCode.ok);
  }
  const wanted = Object.keys(database.lines).filter((path) => new RegExp(functions).test(path));
  for (const path of wanted) {
    const shares = (coverage: Coverage): Share[] => functionShares(coverage.get(path) ?? NOTHING);
    process.stdout.write(`${path}\n${shareTable(...columnsOf(database, shares))}\n`);
  }
  return Promise.resolve(ExitCode.ok);
}
