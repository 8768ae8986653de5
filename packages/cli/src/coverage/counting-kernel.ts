import { argumentError } from "@vfio-selftests/core/errors";
import { type KeptBuild, labCache, requireKeptBuild, thisHost } from "@vfio-selftests/lab";
import type { KernelOptions } from "../lab/kernel-choice";

/** The options with `gcov` among the variants: only such a kernel counts. */
export function withCounters<Options extends KernelOptions>(options: Options): Options {
  const { kernel, with: variants = [] } = options;
  if (kernel !== undefined) {
    throw argumentError(
      "lab run",
      "kernel",
      kernel,
      "no image with --coverage, which needs a kernel of --with or --source",
    );
  }
  return variants.includes("gcov") ? options : { ...options, with: [...variants, "gcov"] };
}

/** The kernel whose coverage the command shows. */
export function countingKernel(options: KernelOptions): KeptBuild {
  const { with: variants = [], source } = withCounters(options);
  return requireKeptBuild(labCache(thisHost()), { variants, tree: source });
}
