import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KernelWatch } from "@vfio-selftests/harness";
import {
  type CircusBlock,
  type CircusEvent,
  type CircusState,
  HarnessEnvironment,
  type HarnessEnvironmentOptions,
} from "@vfio-selftests/harness/jest";
import { TRIAL_PLAN, type TrialPlan } from "../campaign/trial";
import { KernelSwitch } from "./kernel-switch";
import { splatLine } from "./splat-line";
import { addChain, leaveOut, type TestChain, testsById } from "./test-chain";
import { type Attempt, type AttemptEnd, attemptsOf, TrialCourse } from "./trial-course";

type Circumstances = ConstructorParameters<typeof HarnessEnvironment>;

const FAILURE_LINES = 12;

/** The environment that tries mutants: the tests of each trial, one trial after the other, in one process. */
export default class TryingEnvironment extends HarnessEnvironment {
  readonly #attempts = new Map<CircusBlock, Attempt & TestChain>();
  readonly #plan = JSON.parse(readFileSync(process.env[TRIAL_PLAN] ?? "", "utf8")) as TrialPlan;
  readonly #kernel: KernelSwitch;
  readonly #watch: KernelWatch;
  readonly #course: TrialCourse;
  /** A process before this one was ended in the middle of a test. */
  readonly #isSecond: boolean;
  #running: (Attempt & TestChain) | undefined;

  constructor(config: Circumstances[0], context: Circumstances[1]) {
    super(config, context);
    const { from = 0 } = config.projectConfig.testEnvironmentOptions as HarnessEnvironmentOptions;
    this.#isSecond = from > 0;
    const { key, lines, folder } = this.#plan;
    this.#kernel = new KernelSwitch(key, folder);
    this.#watch = new KernelWatch(folder === undefined ? {} : { path: join(folder, "kmsg") });
    this.#course = new TrialCourse({
      activate: (number) => this.#kernel.activate(number),
      deactivate: () => this.#kernel.deactivate(),
      splats: () => this.#watch.take().reports.map(splatLine),
      tell: (line) => appendFileSync(lines, `${JSON.stringify(line)}\n`),
    });
  }

  override async handleTestEvent(event: CircusEvent, state: CircusState): Promise<void> {
    const { name, describeBlock: block, test } = event;
    if (name === "run_start") this.#makeAttempts(state.rootDescribeBlock);
    const attempt = block === undefined ? undefined : this.#attempts.get(block);
    if (name === "run_describe_start" && attempt !== undefined) {
      if (this.#course.begin(attempt)) this.#running = attempt;
      else leaveOut(attempt);
    }
    await super.handleTestEvent(event, state);
    if (name === "run_start") this.#limitAttempts();
    if (name === "test_done" && test !== undefined && test === this.#running?.test) {
      this.#course.end(this.#running, endOf(test));
      this.#running = undefined;
    }
    if (name === "run_finish") this.#course.finish();
  }

  override async teardown(): Promise<void> {
    this.#watch[Symbol.dispose]();
    await super.teardown();
  }

  /** A test that takes many times longer than it should need not take as long as it may on any machine. */
  #limitAttempts(): void {
    const { limitsMs = {} } = this.#plan;
    for (const { test, id } of this.#attempts.values()) {
      const limit = limitsMs[id];
      if (limit !== undefined) test.timeout = Math.min(test.timeout ?? limit, limit);
    }
  }

  #makeAttempts(root: CircusBlock): void {
    const tests = testsById(root);
    root.children.splice(0);
    if (this.#isSecond) return;
    for (const attempt of attemptsOf(this.#plan.trials)) {
      const original = tests.get(attempt.id);
      if (original === undefined) continue;
      const chain = addChain(root, original);
      const [top] = chain.blocks;
      if (top !== undefined) this.#attempts.set(top, { ...attempt, ...chain });
    }
  }
}

function endOf({ status, errors }: TestChain["test"]): AttemptEnd {
  if (status === "skip") return { kind: "skipped" };
  if (errors.length === 0) return { kind: "passed" };
  const [first] = errors.map((entry): unknown => (Array.isArray(entry) ? entry[0] : entry));
  const text = first instanceof Error || isErrorLike(first) ? (first.stack ?? first.message) : String(first);
  return { kind: "failed", failure: text.split("\n").slice(0, FAILURE_LINES).join("\n") };
}

/** An error of the tests' own realm. */
function isErrorLike(value: unknown): value is Error {
  return typeof value === "object" && value !== null && "message" in value;
}
