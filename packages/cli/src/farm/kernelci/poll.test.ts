import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import type * as LabCommands from "../../lab/lab-commands";
import type { LabRunOptions } from "../../lab/options";
import type { PollOptions } from "./options";
import { pollKernelCi } from "./poll";
import { StandInApi, type StandInNode, TOKEN } from "./testing/stand-in-api";

interface Asked {
  readonly command: readonly string[];
  readonly options: LabRunOptions;
  /** What lay at `--kernel` during the run. */
  readonly kernel: string;
}

const asked: Asked[] = [];
let runInLab: (options: LabRunOptions) => Promise<number>;

// The VM has tests of its own. These cover what the farm's jobs ask of it, and what KernelCI gets.
jest.mock("../../lab/lab-commands", () => ({
  ...jest.requireActual<typeof LabCommands>("../../lab/lab-commands"),
  labRun: (command: readonly string[], options: LabRunOptions) => {
    asked.push({ command, options, kernel: readFileSync(options.kernel ?? "", "utf8") });
    return runInLab(options);
  },
}));

let api: StandInApi;
let folder = "";
let told = "";
beforeEach(async () => {
  api = await StandInApi.start();
  folder = mkdtempSync(join(tmpdir(), "farm-kernelci-"));
  asked.length = 0;
  told = "";
  runInLab = (options) => report(options, ["passed"]);
  process.env["KERNELCI_API_TOKEN"] = TOKEN;
  jest.spyOn(process.stderr, "write").mockImplementation((text) => ((told += String(text)), true));
});
afterEach(async () => {
  delete process.env["KERNELCI_API_TOKEN"];
  jest.restoreAllMocks();
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const KERNEL = "a kernel";
const DATA = { runtime: "our-lab", platform: "qemu-x86_64", arch: "x86_64", kernel_revision: { tree: "mainline" } };

function definition(changes: Record<string, unknown> = {}): object {
  return {
    artifacts: { kernel: api.file("bzImage", KERNEL) },
    tests: [
      { id: "vfio", type: "vfio-selftests", depends: [], timeout_s: 900, "pre-commands": [], "post-commands": [] },
    ],
    environment: { platform: "qemu-x86_64", arch: "x86_64", console: { method: "serial", baud: 115200 } },
    callback: { url: "http://127.0.0.1/node/1", token_name: "x" },
    ...changes,
  };
}

function addJob(id: string, job: unknown = definition(), data: Record<string, unknown> = DATA): StandInNode {
  const text = typeof job === "string" ? job : JSON.stringify(job);
  return api.addJob(id, { job_definition: api.file(`${id}.json`, text) }, data);
}

function poll(options: Partial<PollOptions> = {}): Promise<number> {
  return pollKernelCi({ api: api.address, runtime: "our-lab", once: true, intervalMs: 1, output: folder, ...options });
}

/** The job's node as it is now. */
function now({ id }: StandInNode): StandInNode {
  const node = api.nodes.get(id);
  if (node === undefined) throw new Error(`no node ${id}`);
  return node;
}

function verdicts(job: StandInNode): Readonly<Record<string, unknown>> {
  return Object.fromEntries(api.childrenOf(job).map(({ name, result, data }) => [name, data["error_code"] ?? result]));
}

type Status = "passed" | "failed" | "skipped";

/** What `lab run` leaves: a report of tests with these results. */
function report({ output = "" }: LabRunOptions, statuses: readonly Status[], code?: number): Promise<number> {
  const own = {
    passed: {},
    failed: { failures: ["VfioError: EBUSY"] },
    skipped: { skip: { reason: "no PRI", remedy: "x" } },
  };
  const totals = Object.fromEntries(
    Object.keys(own).map((name) => [name, statuses.filter((status) => status === name).length]),
  );
  const exitCode = statuses.includes("failed") ? 1 : statuses.includes("passed") ? 0 : 4;
  const tests = statuses.map((status, index) => ({
    id: `f.iommufd.${index}`,
    mode: "iommufd",
    status,
    durationMs: 5,
    ...own[status],
  }));
  writeFileSync(
    output,
    JSON.stringify({ version: 1, target: [], kernel: "7.3.4", durationMs: 5, errors: [], totals, exitCode, tests }),
  );
  return Promise.resolve(code ?? exitCode);
}

it("takes a job, boots its kernel, and sends each test's result", async () => {
  const job = addJob("1");
  runInLab = (options) => report(options, ["passed", "failed", "skipped"]);
  expect(await poll({ devices: ["edu"], mode: ["iommufd"] })).toBe(0);
  expect(asked).toEqual([
    {
      command: [],
      kernel: KERNEL,
      options: {
        devices: ["edu"],
        mode: ["iommufd"],
        kernel: join(folder, job.id, "kernel"),
        timeoutMs: 900_000,
        reporter: "json",
        output: join(folder, job.id, "report.json"),
      },
    },
  ]);
  // What this program does not know of the node is as it was.
  expect(now(job)).toMatchObject({ state: "done", result: "fail", treeid: "tree-1", artifacts: job.artifacts });
  expect(now(job).data).toMatchObject({ ...DATA, job_id: expect.stringMatching(/^our-lab:/) as string });
  expect(verdicts(job)).toEqual({
    boot: "pass",
    "vfio_selftests.f.iommufd.0": "pass",
    "vfio_selftests.f.iommufd.1": "fail",
    "vfio_selftests.f.iommufd.2": "skip",
  });
  const failed = api.childrenOf(job).find(({ result }) => result === "fail");
  expect(failed).toMatchObject({
    kind: "test",
    state: "done",
    path: [...job.path, "vfio_selftests.f.iommufd.1"],
    group: "vfio-x86",
    data: { error_msg: "VfioError: EBUSY", kernel_revision: { tree: "mainline" }, runtime: "our-lab", arch: "x86_64" },
  });
  expect(existsSync(join(folder, job.id, "kernel"))).toBe(false);
  expect(existsSync(join(folder, job.id, "report.json"))).toBe(true);
});

it.each<[string, readonly Status[], string]>([
  ["all pass", ["passed", "skipped"], "pass"],
  ["all are skipped", ["skipped"], "skip"],
  ["one fails", ["passed", "failed"], "fail"],
])("when %s…", async (_, statuses, result) => {
  const job = addJob("1");
  runInLab = (options) => report(options, statuses);
  await poll();
  expect(now(job).result).toBe(result);
});

it("a job's subset chooses tests, and its tests' limits are the run's", async () => {
  const tests = [
    { type: "vfio-selftests", timeout_s: 60, subset: ["memcpy", "dma_map.4k"] },
    { type: "boot", timeout_s: 30 },
    { type: "kselftest-vfio-ts", subset: "reset" },
  ];
  addJob("1", definition({ tests }));
  await poll();
  expect(asked[0]?.options).toMatchObject({ test: "memcpy|dma_map\\.4k|reset", timeoutMs: 690_000 });
});

it("a job that asks for a boot alone boots, and runs no suite", async () => {
  const job = addJob("1", definition({ tests: [{ type: "boot" }] }));
  runInLab = () => Promise.resolve(0);
  expect(await poll({ devices: ["edu"], mode: ["iommufd"] })).toBe(0);
  expect(asked).toMatchObject([{ command: ["true"], options: { devices: ["edu"], reporter: "default" } }]);
  expect(asked[0]?.options).not.toHaveProperty("mode");
  expect(now(job).result).toBe("pass");
  expect(verdicts(job)).toEqual({ boot: "pass" });
});

const OUTSIDE = "vfio_selftests.outside_any_test";

it.each<[string, (options: LabRunOptions) => Promise<number>, string, Readonly<Record<string, string>>]>([
  ["a kernel that does not boot", () => fail("ERR_LAB_BOOT"), "fail", { boot: "fail" }],
  ["a kernel that goes down", () => fail("ERR_LAB_GUEST_LOST"), "fail", { boot: "pass", [OUTSIDE]: "fail" }],
  ["a run without a report", () => Promise.resolve(124), "fail", { boot: "pass", [OUTSIDE]: "fail" }],
  [
    "a kernel that complains after the last test",
    (options) => report(options, ["passed"], 1),
    "fail",
    { boot: "pass", "vfio_selftests.f.iommufd.0": "pass", [OUTSIDE]: "fail" },
  ],
])("%s fails the job", async (_, run, result, tests) => {
  const job = addJob("1");
  runInLab = run;
  expect(await poll()).toBe(0);
  expect(now(job)).toMatchObject({ state: "done", result });
  expect(verdicts(job)).toEqual(tests);
});

function fail(code: ConstructorParameters<typeof VfioError>[1]["code"]): Promise<number> {
  return Promise.reject(new VfioError(`${code} happened\nmore`, { code, operation: "lab run" }));
}

it.each<[string, VfioError["code"], string]>([
  ["a lab that is not set up", "ERR_LAB_NOT_SET_UP", "Infrastructure"],
  ["an image that is no kernel", "ERR_LAB_NO_IMAGE", "invalid_job_params"],
  ["a subset that no test matches", "ERR_INVALID_ARGUMENT", "invalid_job_params"],
])("%s says nothing of the kernel", async (_, code, errorCode) => {
  const job = addJob("1");
  runInLab = () => fail(code);
  expect(await poll()).toBe(0);
  expect(now(job)).toMatchObject({
    state: "done",
    result: "incomplete",
    data: { error_code: errorCode, error_msg: `${code} happened` },
  });
  expect(api.childrenOf(job)).toEqual([]);
});

it.each<[string, () => unknown, RegExp]>([
  ["no JSON", () => "{", /it is no JSON/],
  ["another format", () => "[]", /the definition is \[\]; allowed: an object/],
  ["no kernel", () => definition({ artifacts: {} }), /artifacts.kernel is missing; allowed: an address/],
  [
    "a kernel of this machine",
    () => definition({ artifacts: { kernel: "file:///etc/passwd" } }),
    /artifacts.kernel is "file:/,
  ],
  ["no tests", () => definition({ tests: [] }), /tests is \[\]/],
  ["tests of others", () => definition({ tests: [{ type: "ltp" }] }), /tests\[0\].type is "ltp"; allowed: boot, /],
  ["options", () => definition({ tests: [{ type: "boot", parameters: "--driver=/x" }] }), /parameters is "--driver/],
  [
    "commands",
    () => definition({ tests: [{ type: "boot", "pre-commands": ["reboot"] }] }),
    /pre-commands is \["reboot"\]/,
  ],
  ["no time", () => definition({ tests: [{ type: "boot", timeout_s: 0 }] }), /timeout_s is 0; allowed: seconds/],
  [
    "a part that is too long",
    () => definition({ tests: [{ type: "vfio-selftests", subset: ["x".repeat(201)] }] }),
    /subset is "x{199}; allowed: parts of tests' ids, of 200 characters at most/,
  ],
  [
    "too many parts, dealt to several tests",
    () => definition({ tests: Array(3).fill({ type: "vfio-selftests", subset: Array(67).fill("irq") }) }),
    /the number of parts in all subsets is 201; allowed: 200/,
  ],
  ["an empty part", () => definition({ tests: [{ type: "vfio-selftests", subset: [""] }] }), /subset is ""/],
  ["no environment", () => definition({ environment: undefined }), /environment is missing/],
  [
    "another CPU",
    () => definition({ environment: { arch: "arm64" } }),
    /it is for arm64, and this lab's VM has x86_64/,
  ],
  [
    "a strange checksum",
    () => definition({ integrity: { sha256: { kernel: "1" } } }),
    /integrity.sha256.kernel is "1"/,
  ],
  [
    "another checksum",
    () => definition({ integrity: { sha256: { kernel: "0".repeat(64) } } }),
    /the SHA-256 of .* is .*, and not 0/,
  ],
])("a definition with %s is told, and nothing runs", async (_, job, message) => {
  const node = addJob("1", job());
  expect(await poll()).toBe(0);
  expect(asked).toEqual([]);
  expect(now(node)).toMatchObject({ state: "done", result: "incomplete" });
  // The lab's owner sees the value. KernelCI does not: the definition may lie at an address that only the lab reaches.
  expect(told).toMatch(message);
  const { error_code: code, error_msg: sent } = now(node).data;
  expect({ code, sent }).toEqual({
    code: "invalid_job_params",
    sent: expect.stringMatching(/^cannot run the job: /) as string,
  });
  expect(sent).not.toMatch(/etc\/passwd|ltp|driver=|reboot|arm64|position/);
});

it("what a server answered stays in the lab, and cannot move the terminal's cursor", async () => {
  const secret = "\u001b[2Jadmin\u009b31m password\r\nhunter2";
  api.files.set("/files/inside", secret);
  const asDefinition = api.addJob("1", { job_definition: `${api.origin}/files/inside` }, DATA);
  const asRefusal = addJob("2", definition({ artifacts: { kernel: `${api.origin}/files/gone` } }), DATA);
  api.faults.push({ request: /gone/, fault: { status: 404, words: secret } });
  expect(await poll()).toBe(0);
  expect(now(asDefinition).data["error_msg"]).toBe("cannot run the job: it is no JSON");
  expect(now(asRefusal).data["error_msg"]).toBe(`GET ${api.origin}/files/gone was answered with 404`);
  expect(told).toMatch(/was answered with 404: \ufffd\[2Jadmin\ufffd31m password hunter2\n/);
  expect(told.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
});

it.each(["http://api.kernelci.org/latest", "http://127.0.0.1.example.org", "http://[::2]"])(
  "the token does not go unencrypted to %s",
  async (address) => {
    await expect(poll({ api: address })).rejects.toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
      message: expect.stringContaining(`the token would go to ${address} unencrypted`) as string,
      remedy: expect.stringContaining("https://") as string,
    });
  },
);

it("a kernel with its checksum is run", async () => {
  const sha256 = { kernel: createHash("sha256").update(KERNEL).digest("hex") };
  const job = addJob("1", definition({ integrity: { sha256 } }));
  await poll();
  expect(now(job).result).toBe("pass");
});

it("files that cannot be had are the lab's trouble", async () => {
  const job = addJob("1", definition({ artifacts: { kernel: `${api.origin}/files/gone` } }));
  expect(await poll()).toBe(0);
  expect(now(job).data).toMatchObject({
    error_code: "Infrastructure",
    error_msg: expect.stringContaining("was answered with 404") as string,
  });
});

it("leaves the jobs of others alone", async () => {
  addJob("1", definition(), { ...DATA, runtime: "another-lab" });
  addJob("2", definition(), { ...DATA, platform: "rpi" });
  addJob("3", definition(), { ...DATA, job_id: "another:1" });
  addJob("4").state = "done";
  api.addJob("5", {}, DATA);
  expect(await poll({ platforms: ["qemu-x86_64"] })).toBe(4);
  expect(asked).toEqual([]);
  expect(api.requests.filter((request) => !request.startsWith("GET"))).toEqual([]);
});

it("does not run a job that another poller takes at the same moment", async () => {
  const job = addJob("1");
  api.before = (request) => {
    // After our claim, and before we read it.
    if (api.requests.filter((one) => one.startsWith("PATCH")).length > 0 && request.startsWith("GET /latest/node")) {
      now(job).data["job_id"] = "another:1";
    }
  };
  expect(await poll()).toBe(4);
  expect(asked).toEqual([]);
  expect(now(job).state).toBe("available");
});

it("a node that is gone or over when it is claimed is no job", async () => {
  addJob("1");
  api.faults.push({ request: /^GET .*\/node\//, fault: { status: 404 } });
  addJob("2");
  api.faults.push({ request: /^PATCH/, fault: { status: 400 } });
  expect(await poll()).toBe(4);
});

it("runs the jobs that come while it waits, each once, until it is interrupted", async () => {
  const before = process.listenerCount("SIGINT");
  const jobs = [addJob("1")];
  runInLab = (options) => {
    if (jobs.length < 3) jobs.push(addJob(String(jobs.length + 1)));
    return report(options, ["passed"]);
  };
  api.before = (request) => {
    if (asked.length === 3 && jobs.every((job) => now(job).state === "done") && request.includes("events")) {
      process.emit("SIGINT", "SIGINT");
    }
  };
  expect(await poll({ once: false })).toBe(130);
  expect(asked).toHaveLength(3);
  expect(process.listenerCount("SIGINT")).toBe(before);
});

it("a job that is interrupted goes back as canceled", async () => {
  const job = addJob("1");
  runInLab = () => {
    process.emit("SIGTERM", "SIGTERM");
    return Promise.resolve(143);
  };
  expect(await poll()).toBe(143);
  expect(now(job)).toMatchObject({ state: "done", result: "incomplete", data: { error_code: "Canceled" } });
});

it.each([
  ["once its claim is sent", /^PATCH/],
  ["before its claim is read back", /^GET .*\/node\//],
])("a job that is interrupted %s goes back, too", async (_, moment) => {
  const job = addJob("1");
  let isClaimed = false;
  api.before = (request) => {
    isClaimed ||= request.startsWith("PATCH");
    if (isClaimed && moment.test(request)) process.emit("SIGINT", "SIGINT");
  };
  expect(await poll()).toBe(130);
  expect(asked).toEqual([]);
  expect(now(job)).toMatchObject({ state: "done", result: "incomplete", data: { error_code: "Canceled" } });
});

it("a job that is interrupted before its claim stays as it was", async () => {
  const job = addJob("1");
  api.before = (request) => {
    if (request.includes("/node/")) process.emit("SIGINT", "SIGINT");
  };
  expect(await poll()).toBe(130);
  expect(now(job)).toMatchObject({ state: "available", data: DATA });
  expect(now(job).data).not.toHaveProperty("job_id");
});

describe("an API that is away", () => {
  it("is asked again, whatever the question", async () => {
    const job = addJob("1");
    api.faults.push(
      { request: /events/, fault: "hang up" },
      { request: /events/, fault: { status: 503 } },
      { request: /^PATCH/, fault: { status: 500 } },
      { request: /^PUT/, fault: { status: 429 } },
    );
    expect(await poll()).toBe(0);
    expect(now(job).result).toBe("pass");
    expect(told).toMatch(/is away: .*; the next try \(2 of 15\) is in 1 s/);
  });

  it("gets no result twice, where only the answer to it was lost", async () => {
    const job = addJob("1");
    api.faults.push({ request: /^PUT/, fault: "lose answer" });
    expect(await poll()).toBe(0);
    expect(api.childrenOf(job).map(({ name }) => name)).toEqual(["boot", "vfio_selftests.f.iommufd.0"]);
  });

  it("for long ends the poller with its last error", async () => {
    for (let tries = 0; tries < 15; tries++) api.faults.push({ request: /events/, fault: { status: 502 } });
    await expect(poll()).rejects.toThrow("GET " + api.address + "/events was answered with 502: planted");
    expect(api.requests).toHaveLength(15);
  });

  it("when the result is there says how it can still be sent", async () => {
    addJob("1");
    api.faults.push({ request: /^PUT/, fault: { status: 422 } });
    await expect(poll()).rejects.toThrow("was answered with 422");
    expect(told).toMatch(/the result \(pass\) could not be sent[.] `vfio-selftests report kcidb .*report.json`/);
  });
});

it("a token that the API refuses ends the poller at once, with what to do", async () => {
  process.env["KERNELCI_API_TOKEN"] = "old";
  const job = addJob("1");
  await expect(poll()).rejects.toMatchObject({
    code: "ERR_KERNELCI_API",
    remedy: expect.stringContaining("runtime:NAME:node-editor") as string,
  });
  expect(now(job).state).toBe("available");
  delete process.env["KERNELCI_API_TOKEN"];
  await expect(poll()).rejects.toThrow("KERNELCI_API_TOKEN is not set");
});

it.each([
  ["an HTML page", "<html>", "not JSON"],
  ["an object", "{}", "not a list"],
  ["strange nodes", '[{"timestamp":"2026","node":{"id":"../../etc"}}]', "what is no node"],
])("an address that answers with %s is not the API", async (_, text, message) => {
  api.files.set("/latest/events", text);
  await expect(poll()).rejects.toThrow(message);
});

it("without a folder for the reports no job is taken", async () => {
  const job = addJob("1");
  const file = join(folder, "file");
  writeFileSync(file, "");
  await expect(poll({ output: file })).rejects.toMatchObject({
    code: "EEXIST",
    message: expect.stringContaining("cannot make the folder") as string,
  });
  expect(now(job).data).not.toHaveProperty("job_id");
});

it("a folder that cannot be made gives the job back", async () => {
  const job = addJob("1");
  writeFileSync(join(folder, job.id), "");
  await expect(poll()).rejects.toMatchObject({ code: "EEXIST" });
  expect(now(job)).toMatchObject({ state: "done", data: { error_code: "Infrastructure" } });
});
