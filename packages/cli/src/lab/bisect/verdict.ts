/** What the test says of one kernel. */
export type Verdict =
  | { readonly kind: "good"; readonly flaky: boolean }
  | { readonly kind: "bad"; readonly flaky: boolean; readonly failure: string }
  /** It cannot be told: the kernel does not build or boot, or the test does not run on it. `git bisect run` has 125 for it. */
  | { readonly kind: "skip"; readonly why: string };

/** What one run of the test says. */
export type RunResult =
  | { readonly kind: "passed" }
  | { readonly kind: "failed"; readonly failure: string }
  /** Nothing ran, which says nothing of the kernel. */
  | { readonly kind: "skipped"; readonly why: string };

/** A test that always does the same is run twice for each kernel. */
const LEAST_RUNS = 2;
/** One whose runs disagree is run until three agree. */
const AGREEING_RUNS = 3;

/** Runs the test on one kernel as often as a verdict takes. */
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
