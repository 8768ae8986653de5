import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify, type RunEvent, type TestOutcome } from "@vfio-selftests/harness";
import type { JestProcessOptions } from "./jest-process";
import { runJest } from "./jest-run";
import type { JestOutcome, JestRun } from "./test-run";

type Script = (process: FakeProcess) => void;

/** Stands in for the processes, with one script for each, and records what each was given. */
const scripts: Script[] = [];
const started: JestProcessOptions[] = [];

class FakeProcess {
  readonly pid = 0;
  readonly ended: Promise<string | undefined>;
  readonly options: JestProcessOptions;
  readonly tell: (event: RunEvent) => void;
  readonly killed: NodeJS.Signals[] = [];
  end: (how?: string) => void = () => undefined;

  constructor(options: JestProcessOptions, onEvent: (event: RunEvent) => void) {
    this.options = options;
    this.tell = onEvent;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
    started.push(options);
    const script = scripts.shift();
    if (script === undefined) throw new Error("one process too many");
    setImmediate(() => script(this));
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.killed.push(signal);
    this.end(`was ended by ${signal}`);
  }

  describe(): string[] {
    return ["in system call 16"];
  }

  count(tests: number): void {
    this.tell({ kind: "counted", size: { tests, cases: 1 } });
  }

  start(name: string, index: number, limitMs = 30_000): void {
    this.tell({ kind: "started", test: identify(["f", name]), index, limitMs });
  }

  pass(name: string, index: number, status: TestOutcome["status"] = "passed"): void {
    this.start(name, index);
    const outcome = { status, durationMs: 1, skip: undefined, failures: status === "failed" ? ["no"] : [], notes: [] };
    this.tell({ kind: "finished", test: { ...identify(["f", name]), ...outcome } });
  }
}

jest.mock("./test-process", () => ({
  TestProcess: function TestProcess(options: JestProcessOptions, onEvent: (event: RunEvent) => void) {
    return new FakeProcess(options, onEvent);
  },
}));

const TARGET = {
  devices: [],
  modes: [],
  drivers: [],
  full: false,
  kvmIrq: undefined,
  seed: undefined,
  failingExample: false,
  lab: false,
  slowdown: 1,
  confined: false,
  stage: undefined,
};

async function run(processes: Script[], options: Partial<JestRun> = {}): Promise<JestOutcome> {
  scripts.splice(0, Infinity, ...processes);
  started.length = 0;
  const outcome = await runJest({ entry: "models", target: TARGET, filter: {}, plan: {}, reports: [], ...options });
  expect(scripts).toEqual([]);
  return outcome;
}

function told({ tests }: JestOutcome): string[] {
  return tests.map(
    ({ status, test, repetition }) => `${status} ${test}${repetition === undefined ? "" : ` #${repetition}`}`,
  );
}

test("a test whose process dies has failed, and the next ones run in a new process", async () => {
  const outcome = await run([
    (child) => {
      child.count(3);
      child.pass("a", 0);
      child.start("b", 1);
      child.end("was ended by SIGSEGV");
    },
    (child) => {
      child.count(3);
      child.pass("c", 2);
      child.end();
    },
  ]);
  expect(told(outcome)).toEqual(["passed a", "failed b", "passed c"]);
  expect(outcome.tests[1]?.failures).toEqual(["the process that ran the tests was ended by SIGSEGV"]);
  expect(started.map(({ environment }) => environment.from)).toEqual([0, 2]);
  expect(outcome.errors).toEqual([]);
});

test("a process that ends without an error in the middle of a test has not done its work", async () => {
  const outcome = await run([
    (child) => {
      child.count(1);
      child.start("a", 0);
      child.end();
    },
  ]);
  expect(told(outcome)).toEqual(["failed a"]);
});

test("a test that hangs is ended, with what it was doing", async () => {
  jest.useFakeTimers({ doNotFake: ["setImmediate", "performance"] });
  try {
    const outcome = await run([
      (child) => {
        child.count(1);
        child.start("a", 0, 2000);
        jest.advanceTimersByTime(2000);
        expect(child.killed).toEqual([]);
        jest.advanceTimersByTime(5000);
        expect(child.killed).toEqual(["SIGKILL"]);
      },
    ]);
    expect(outcome.tests[0]?.failures).toEqual([
      "the test did not end within its limit of 2 s: ended from outside\nin system call 16",
    ]);
  } finally {
    jest.useRealTimers();
  }
});

test("a process that does not come to a test is not started for ever", async () => {
  const outcome = await run([(child) => child.end("ended with exit status 9")]);
  expect(outcome.errors).toEqual(["the process that ran the tests ended with exit status 9"]);
});

test("repetitions go on behind a test that died, and are counted", async () => {
  const outcome = await run(
    [
      (child) => {
        child.count(6);
        child.pass("a", 0);
        child.pass("b", 1);
        child.start("a", 2);
        child.end("was ended by SIGKILL");
      },
      (child) => {
        expect(child.options.environment).toMatchObject({ from: 1, repeat: 2 });
        child.count(4);
        child.pass("b", 1);
        child.pass("a", 2);
        child.pass("b", 3);
        child.end();
      },
    ],
    { repeat: 3 },
  );
  expect(told(outcome)).toEqual([
    "passed a #1",
    "passed b #1",
    "failed a #2",
    "passed b #2",
    "passed a #3",
    "passed b #3",
  ]);
});

test("until one fails: as many processes as it takes, and none after", async () => {
  const good: Script = (child) => {
    child.count(50);
    for (let index = 0; index < 50; index++) child.pass("a", index);
    child.end();
  };
  const outcome = await run(
    [
      good,
      (child) => {
        child.count(50);
        child.pass("a", 0, "failed");
        child.end();
      },
    ],
    { repeat: Infinity, bail: true },
  );
  expect(told(outcome).at(-1)).toBe("failed a #51");
});

test("what is always skipped is not repeated for ever", async () => {
  const skips: Script = (child) => {
    child.count(50);
    for (let index = 0; index < 50; index++) child.pass("a", index, "skipped");
    child.end();
  };
  const outcome = await run([skips], { repeat: Infinity, bail: true });
  expect(outcome.tests).toHaveLength(50);
});

test("a signal ends the process and the run, and what was measured is kept", async () => {
  const outcome = await run([
    (child) => {
      child.count(3);
      child.pass("a", 0);
      child.start("b", 1);
      process.emit("SIGTERM", "SIGTERM");
      expect(child.killed).toEqual(["SIGTERM"]);
    },
  ]);
  expect(told(outcome)).toEqual(["passed a", "failed b"]);
  expect(outcome.tests[1]?.failures).toEqual(["interrupted by SIGTERM"]);
  expect(outcome.notes).toEqual(["1 of 3 tests did not run"]);
  expect(outcome.interrupted).toBe("SIGTERM");
  expect(process.listenerCount("SIGTERM")).toBe(0);
});

describe("with the kernel's log", () => {
  const WARN = ["------------[ cut here ]------------", "WARNING: a.c:1 at f, CPU#0: node/1", "---[ end trace 0 ]---"];
  let folder = "";
  let sequence = 0;
  let path = "";
  const say = (lines: readonly string[]): number => {
    for (const line of lines) appendFileSync(path, `4,${(sequence += 1)},1,-;${line}\n`);
    return sequence;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "supervisor-"));
    path = join(folder, "kmsg");
    writeFileSync(path, "");
    sequence = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("what a test's process has looked at is not told twice; what comes after its end fails the run", async () => {
    const outcome = await run(
      [
        (child) => {
          child.count(1);
          child.start("a", 0);
          const kernelLog = say(WARN);
          const a = { status: "failed", durationMs: 1, skip: undefined, failures: ["seen"], notes: [] } as const;
          child.tell({ kernelLog, kind: "finished", test: { ...identify(["f", "a"]), ...a } });
          say(["------------[ cut here ]------------", "WARNING: b.c:2 at g, CPU#0: node/1", "---[ end trace 0 ]---"]);
          child.end();
        },
      ],
      { kernelLog: { path } },
    );
    expect(outcome.tests[0]?.failures).toEqual(["seen"]);
    expect(outcome.errors).toHaveLength(1);
    expect(outcome.errors[0]).toMatch(/^the kernel reported after the last test, f\.a: WARNING [^]*at g, CPU/);
  });

  test("what the kernel says of a test that died is the test's, and the next process goes on behind it", async () => {
    say(["old"]);
    const outcome = await run(
      [
        (child) => {
          expect(child.options.environment.kernelLog).toEqual({ path, after: 1 });
          child.count(2);
          child.start("a", 0);
          say(WARN);
          child.end("was ended by SIGKILL");
        },
        (child) => {
          expect(child.options.environment.kernelLog).toEqual({ path, after: 4 });
          child.count(2);
          child.pass("b", 1);
          child.end();
        },
      ],
      { kernelLog: { path } },
    );
    expect(outcome.tests[0]?.failures[1]).toMatch(/^the kernel reported WARNING/);
    expect(outcome.errors).toEqual([]);
  });

  test("in the lab the boot counts", async () => {
    say(WARN);
    const outcome = await run(
      [
        (child) => {
          child.count(1);
          child.pass("a", 0);
          child.end();
        },
      ],
      { kernelLog: { path, after: "boot" } },
    );
    expect(outcome.errors[0]).toMatch(/^the kernel reported before the first test: WARNING/);
  });
});
