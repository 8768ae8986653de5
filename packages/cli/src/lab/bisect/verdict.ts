/** What the test says of one kernel. */
export type Verdict =
  | { readonly kind: "good"; readonly flaky: boolean }
  | { readonly kind: "bad"; readonly flaky: boolean; readonly failure: string }
  /**
   * Nobody can tell: the kernel does not build or boot, or the test does not run on it. For `git bisect run` that is
   * 125.
   */
  | { readonly kind: "skip"; readonly why: string };

/** What one run of the test says. */
export type RunResult =
  | { readonly kind: "passed" }
  | { readonly kind: "failed"; readonly failure: string }
  /** No test ran, so the run says nothing about the kernel. */
  | { readonly kind: "skipped"; readonly why: string };

/** Runs on each kernel of a test whose runs all end alike. */
const LEAST_RUNS = 2;
/** When the runs of a test disagree, it runs until this many agree. */
const AGREEING_RUNS = 3;

/** Runs the test on one kernel as often as a verdict needs. */
export async function verdictOf(runOnce: () => Promise<RunResult>): Promise<Verdict> {
  let passed = 0;
  const failures: string[] = [];
  for (;;) {
    const result = await runOnce();
    if (result.kind === "skipped") return { kind: "skip", why: result.why };
    if (result.kind === "passed") passed += 1;
    else failures.push(result.failure);
    const flaky = passed > 0 && failures.length > 0;
    const wanted = flaky ? AGREEING_RUNS : LEAST_RUNS;
    if (passed >= wanted) return { kind: "good", flaky };
    if (failures.length >= wanted) return { kind: "bad", flaky, failure: failures[0] ?? "" };
  }
}
