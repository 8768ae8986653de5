import { identify, type TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { LiveLine } from "./live-line";
import type { RunPlan } from "./report-format";

const TESTS = ["a", "b", "c"].map((name) => identify(["f", name]));
const DURATIONS = { "f.a": 20_000, "f.b": 40_000, "f.c": 30_000 };

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

interface Screen {
  readonly live: LiveLine;
  /** What the line shows at the moment. */
  readonly shown: () => string;
  /** Runs a test that takes so long. */
  readonly pass: (test: TestIdentity | undefined, seconds: number, status?: TestOutcome["status"]) => void;
}

function screen(plan: Partial<RunPlan>, columns = 80): Screen {
  let text = "";
  const sink = { write: (part: string) => (text += part), interactive: true, columns };
  const size = { tests: TESTS.length, cases: 1, all: TESTS };
  const live = new LiveLine(sink, { headline: [], size, defaultMode: "", device: undefined, ...plan });
  return {
    live,
    shown: () => text.split("\r\u001b[K").at(-1) ?? "",
    pass: (test = identify(["?"]), seconds, status = "passed") => {
      live.started(test);
      jest.advanceTimersByTime(seconds * 1000);
      const failures = status === "failed" ? ["no"] : [];
      live.finished({ ...test, status, durationMs: seconds * 1000, skip: undefined, failures, notes: [] });
    },
  };
}

function start({ live }: Screen, test: TestIdentity | undefined): void {
  live.started(test ?? identify(["?"]));
}

it("tells the time left by the durations of earlier runs, and counts it down", () => {
  const run = screen({ durations: DURATIONS });
  start(run, TESTS[0]);
  expect(run.shown()).toBe("1/3, 91 s left: f.a");
  jest.advanceTimersByTime(5000);
  expect(run.shown()).toBe("1/3, 86 s left: f.a");
  jest.advanceTimersByTime(60_000);
  // The test takes longer than expected. The others do not take less.
  expect(run.shown()).toBe("1/3, 71 s left: f.a");
  run.live.clear();
  expect(run.shown()).toBe("");
});

it("takes the tests to be as slow as they were until now", () => {
  const run = screen({ durations: DURATIONS });
  run.pass(TESTS[0], 40);
  start(run, TESTS[1]);
  expect(run.shown()).toBe("2/3, 2 min left: f.b");
  run.live.clear();
});

it("without durations tells a time only when the run's speed is known", () => {
  const run = screen({});
  run.pass(TESTS[0], 5);
  start(run, TESTS[1]);
  expect(run.shown()).toBe("2/3: f.b");
  run.pass(TESTS[1], 15);
  start(run, TESTS[2]);
  expect(run.shown()).toMatch(/^3\/3, \d+ s left: f\.c$/);
  run.live.clear();
});

it("counts the tests of all repetitions", () => {
  const size = { tests: 6, cases: 1, all: TESTS };
  const run = screen({ durations: { "f.a": 1970, "f.b": 1970, "f.c": 1970 }, size });
  start(run, TESTS[0]);
  expect(run.shown()).toBe("1/6, 12 s left: f.a");
  for (const test of TESTS) run.pass(test, 2);
  start(run, TESTS[0]);
  expect(run.shown()).toBe("4/6, 6 s left: f.a");
  run.pass(TESTS[0], 2);
  start(run, TESTS[1]);
  expect(run.shown()).toBe("5/6, 4 s left: f.b");
  run.live.clear();
});

it("counts failures, and never wraps", () => {
  const run = screen({ durations: DURATIONS }, 32);
  run.pass(TESTS[0], 20, "failed");
  start(run, identify(["fixture_with_a_name", "b"]));
  expect(run.shown()).toBe("2/3, 1 failed, 70 s left: fixtu");
  run.live.clear();
});
