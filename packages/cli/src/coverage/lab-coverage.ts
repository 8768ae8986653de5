import { databaseCoverage, fileShares, folderShares, functionShares, shareTable } from "@vfio-selftests/coverage";
import { ExitCode } from "../exit-codes";
import type { CoverageOptions } from "../lab/options";
import { countingKernel } from "./counting-kernel";
import { CoverageStore } from "./coverage-store";
import { describePatch, patchLines } from "./patch-tests";

/** `lab coverage`: shows what was measured of each file or function, or of the lines of a patch. */
export function labCoverage({ changed, functions, ...kernel }: CoverageOptions): Promise<number> {
  if (changed !== undefined) {
    const source = kernel.source ?? process.cwd();
    process.stdout.write(describePatch(patchLines(countingKernel({ ...kernel, source }), source, changed)));
    return Promise.resolve(ExitCode.ok);
  }
  const coverage = databaseCoverage(new CoverageStore(countingKernel(kernel)).database());
  if (functions === undefined) {
    const files = fileShares(coverage);
    process.stdout.write(
      shareTable([...files, ...folderShares(files).map((sum) => ({ ...sum, name: `${sum.name}/` }))]),
    );
    return Promise.resolve(ExitCode.ok);
  }
  const wanted = [...coverage].filter(([path]) => new RegExp(functions).test(path));
  for (const [path, file] of wanted) process.stdout.write(`${path}\n${shareTable(functionShares(file))}\n`);
  return Promise.resolve(ExitCode.ok);
}
