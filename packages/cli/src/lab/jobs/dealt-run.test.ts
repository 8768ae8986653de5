import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { VfioError } from "@vfio-selftests/core";
import {
  dealTests,
  eventLine,
  fullId,
  identify,
  type ReportEvent,
  type TestIdentity,
  type TestOutcome,
} from "@vfio-selftests/harness";
import { type DealtRunOptions, runDealt, type StartWorker, type WorkerStreams } from "./dealt-run";
import type { Work } from "./work";

const TESTS = ["a", "b", "c", "d", "e", "f"].map((name) => identify(["vfio_x", "iommufd", name]));
const DURATIONS = Object.fromEntries(TESTS.map((test) => [fullId(test), 100]));
const [firstShare = []] = dealTests(TESTS, 2, DURATIONS);

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dealt-run-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What the test's stand-in for a VM's worker does. */
class FakeWorker {
  readonly work: Work;
  readonly tests: readonly TestIdentity[];
  readonly #streams: WorkerStreams;

  private constructor(work: Work, streams: WorkerStreams) {
    this.work = work;
    this.#streams = streams;
    const { part } = work;
    this.tests =
      "share" in part
        ? (dealTests(TESTS, part.share.count, part.share.durations)[part.share.index] ?? [])
        : TESTS.filter((test) => part.only.includes(fullId(test)));
  }

  static async start(streams: WorkerStreams): Promise<FakeWorker> {
    const [line] = (await once(createInterface({ input: streams.stdin }), "line")) as [string];
    return new FakeWorker(JSON.parse(line) as Work, streams);
  }

  event(event: ReportEvent): void {
    this.#streams.stdout.write(eventLine(event));
  }

  plan(tests: readonly TestIdentity[] = TESTS): void {
    const size = { tests: this.tests.length, cases: 1, all: tests };
    this.event({ kind: "plan", plan: { headline: ["Devices x"], size, defaultMode: "iommufd", device: "x" } });
  }

  pass(test: TestIdentity): void {
    this.event({ kind: "started", test });
    const none = { skip: undefined, failures: [], notes: [] };
    this.event({ kind: "finished", test: { ...test, status: "passed", durationMs: 5, ...none } });
  }

  end(errors: readonly string[] = []): { exitCode: number; ended: "exit" } {
    this.event({ kind: "end", run: { errors, durationMs: 1 } });
    return { exitCode: 0, ended: "exit" };
  }

  runAll(): { exitCode: number; ended: "exit" } {
    this.plan();
    for (const test of this.tests) this.pass(test);
    return this.end();
  }
}

interface Told {
  code: number;
  lines: string[];
  kept: string[];
  /** Whether the kept durations were told to be those of all tests. */
  whole: boolean | undefined;
  report: { tests: { id: string; status: string; failures?: string[] }[]; errors: string[]; exitCode: number };
}

async function run(startWorker: StartWorker, options: Partial<DealtRunOptions> = {}): Promise<Told> {
  const output = join(folder, "report.json");
  const lines: string[] = [];
  const kept: TestOutcome[] = [];
  let whole: boolean | undefined;
  const stdout = jest.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    const code = await runDealt({
      jobs: 2,
      options: { reporter: "json", output },
      durations: DURATIONS,
      tell: (line) => lines.push(line),
      keep: (_run, measured, all) => {
        kept.push(...measured);
        whole = all;
      },
      startWorker,
      ...options,
    });
    const report = JSON.parse(readFileSync(output, "utf8")) as Told["report"];
    return { code, lines, kept: kept.map(fullId).sort(), whole, report };
  } finally {
    stdout.mockRestore();
  }
}

const lost = (): VfioError =>
  new VfioError("the guest went down while the command ran: Kernel panic", {
    code: "ERR_LAB_GUEST_LOST",
    operation: "lab run",
  });

test("the report is that of one run: every test once, in the list's order, and what went wrong outside them", async () => {
  const { code, report, lines, kept, whole } = await run(async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    worker.plan();
    // The second half of the list ends first. The report must still have the list's order.
    for (const test of [...worker.tests].reverse()) worker.pass(test);
    return worker.end(["a hook failed"]);
  });
  expect(report.tests.map(({ id, status }) => [id, status])).toEqual(TESTS.map(({ id }) => [id, "passed"]));
  expect(report.errors).toEqual(["a hook failed", "a hook failed"]);
  expect({ code, lines }).toEqual({ code: 1, lines: [] });
  expect(kept).toEqual(TESTS.map(fullId));
  expect(whole).toBe(true);
});

test("the report of a shard tells the kernel, the command and the tests of all shards, so that it can be merged", async () => {
  const shard = { index: 1, count: 2 };
  const unsharded = [...TESTS, identify(["vfio_x", "iommufd", "of_the_other_shard"])];
  const { report } = await run(async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    const size = { tests: worker.tests.length, cases: 1, all: TESTS, unsharded };
    const facts = {
      headline: [],
      defaultMode: "iommufd",
      device: "x",
      kernel: "7.3.4",
      command: ["lab", "run"],
      shard,
    };
    worker.event({ kind: "plan", plan: { ...facts, size } });
    for (const test of worker.tests) worker.pass(test);
    return worker.end();
  });
  expect(report).toMatchObject({ kernel: "7.3.4", command: ["lab", "run"], shard });
  expect(report).toHaveProperty(
    "planned",
    unsharded.map(({ id }) => ({ id, mode: "iommufd" })),
  );
});

test("a VM that goes down costs the test that it ran; a new one goes on with those that it had left", async () => {
  let starts = 0;
  const { code, report, lines, kept } = await run(async (vm, streams) => {
    const worker = await FakeWorker.start(streams);
    starts += 1;
    if (vm === 1 || "only" in worker.work.part) return worker.runAll();
    worker.plan();
    const [first, second] = worker.tests;
    if (first !== undefined) worker.pass(first);
    if (second !== undefined) worker.event({ kind: "started", test: second });
    throw lost();
  });
  const second = firstShare[1]?.id;
  expect(report.tests.map(({ id, status }) => [id, status])).toEqual(
    TESTS.map(({ id }) => [id, id === second ? "failed" : "passed"]),
  );
  expect(report.tests.find(({ id }) => id === second)?.failures?.[0]).toContain("MISS: this test has no result");
  expect(lines).toEqual([expect.stringMatching(/^VM 1: .*Kernel panic; another VM goes on with the 1 tests/)]);
  expect({ code, starts }).toEqual({ code: 1, starts: 3 });
  expect(kept).toEqual(TESTS.map(fullId).filter((id) => id !== second));
});

test("a process that ends in the middle of a test, with whatever status, is no pass", async () => {
  const { code, report } = await run(async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    if ("only" in worker.work.part) return worker.runAll();
    worker.plan();
    const [first] = worker.tests;
    if (first !== undefined) worker.event({ kind: "started", test: first });
    return { exitCode: 0, ended: "exit" };
  });
  expect(report.tests.filter(({ status }) => status === "failed")).toHaveLength(2);
  expect(report.tests).toHaveLength(TESTS.length);
  expect(code).toBe(1);
});

test("tests of a VM that does not come up, twice, are told as failed", async () => {
  const { code, report } = await run(async (vm, streams) => {
    if (vm === 0) throw new VfioError("the guest did not boot", { code: "ERR_LAB_BOOT", operation: "lab run" });
    return (await FakeWorker.start(streams)).runAll();
  });
  const failed = report.tests.filter(({ status }) => status === "failed");
  expect(failed.map(({ id }) => id)).toEqual(firstShare.map(({ id }) => id));
  expect(failed[0]?.failures?.[0]).toContain("the guest did not boot");
  expect(code).toBe(1);
});

test("where no VM comes up, the error is that of one", async () => {
  const boot = new VfioError("the guest did not boot", { code: "ERR_LAB_BOOT", operation: "lab run" });
  await expect(run(() => Promise.reject(boot))).rejects.toBe(boot);
});

test("what the run in the VM refuses is told once, with its exit code", async () => {
  const lines: string[] = [];
  const code = await runDealt({
    jobs: 2,
    options: { reporter: "default" },
    durations: {},
    tell: (line) => lines.push(line),
    keep: () => undefined,
    startWorker: async (_vm, streams) => {
      const worker = await FakeWorker.start(streams);
      worker.event({ kind: "refused", message: "vfio-selftests: no mode\n", exitCode: 2 });
      return { exitCode: 2, ended: "exit" };
    },
  });
  expect({ code, lines }).toEqual({ code: 2, lines: ["vfio-selftests: no mode"] });
});

test("an interrupt keeps and reports what was measured, and says how much is missing", async () => {
  let running = 0;
  const { code, report, kept, whole } = await run(async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    const interrupted = once(process, "SIGINT");
    worker.plan();
    const [first] = worker.tests;
    if (first !== undefined) worker.pass(first);
    running += 1;
    if (running === 2) setImmediate(() => process.emit("SIGINT", "SIGINT"));
    await interrupted;
    await delay(10);
    return { exitCode: 130, ended: "exit" };
  });
  expect(report.tests.map(({ status }) => status)).toEqual(["passed", "passed"]);
  expect(report.errors).toEqual(["SIGINT ended the run: 4 of 6 tests have no result"]);
  expect({ code, kept: kept.length, whole }).toEqual({ code: 130, kept: 2, whole: false });
});

test("a time-out ends the run as an interrupt does, without a VM for what is left", async () => {
  let starts = 0;
  const { code, report } = await run(async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    starts += 1;
    worker.plan();
    const [first] = worker.tests;
    if (first !== undefined) worker.pass(first);
    return { ...worker.end(), exitCode: 1, ended: "timeout" };
  });
  expect(report.tests).toHaveLength(2);
  expect(report.errors).toEqual(["the time-out ended the run: 4 of 6 tests have no result"]);
  expect({ code, starts }).toEqual({ code: 1, starts: 2 });
});

test("a run that ends in time is not told to have overrun", async () => {
  const { code, report } = await run(async (_vm, streams) => ({
    ...(await FakeWorker.start(streams)).runAll(),
    ended: "timeout",
  }));
  expect({ code, errors: report.errors }).toEqual({ code: 0, errors: [] });
});

test("what a VM's kernel says outside the run fails the run", async () => {
  const { code, report } = await run(async (vm, streams) => ({
    ...(await FakeWorker.start(streams)).runAll(),
    problems: vm === 1 ? ["the guest's kernel reported a BUG"] : [],
  }));
  expect({ code, errors: report.errors }).toEqual({ code: 1, errors: ["VM 2: the guest's kernel reported a BUG"] });
});

test("lines that are no events reach the person, with the VM's number", async () => {
  const { lines } = await run(async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    if ("share" in worker.work.part && worker.work.part.share.index === 1) streams.stderr.write("hello\n");
    return worker.runAll();
  });
  expect(lines).toEqual(["VM 2: hello"]);
});

test("VMs whose test processes end before they list the tests are no mistake of -t", async () => {
  const start: StartWorker = async (_vm, streams) => {
    const worker = await FakeWorker.start(streams);
    worker.event({ kind: "plan", plan: { headline: [], size: undefined, defaultMode: "iommufd", device: "x" } });
    return worker.end(["the process that ran the tests was ended by SIGSEGV"]);
  };
  await expect(run(start, { options: { reporter: "default", test: "vfio_x" } })).rejects.toThrow(
    /no VM listed its tests: the process that ran the tests was ended by SIGSEGV\n.*Remedy: .*--jobs 1 --console/,
  );
});
