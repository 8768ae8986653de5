import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Lab from "@vfio-selftests/lab";
import { GUEST_NODE } from "@vfio-selftests/lab";
import { labRun, labSetup } from "./lab-commands";

const runs: Lab.LabRunOptions[] = [];
const KASAN = { image: "/kasan/bzImage", build: "/kasan/build", parameters: ["kasan_multi_shot"], slowdown: 3 };

// The lab's own tests cover the VM. These cover what the commands ask of it.
jest.mock("@vfio-selftests/lab", () => ({
  ...jest.requireActual<typeof Lab>("@vfio-selftests/lab"),
  readLabState: () => ({ kernel: "/bzImage" }),
  describeMachine: () => undefined,
  requireKeptBuild: () => KASAN,
  runInLab: (options: Lab.LabRunOptions) => {
    runs.push(options);
    return Promise.resolve({ exitCode: 7 });
  },
}));

// A checkout need not have the addon of another CPU. guest-addon.test.ts covers that.
const requireGuestAddon = jest.fn();
jest.mock("./guest-addon", () => ({ requireGuestAddon: (): unknown => requireGuestAddon() }));

let folder = "";
beforeEach(() => {
  requireGuestAddon.mockReset();
  runs.length = 0;
  folder = mkdtempSync(join(tmpdir(), "lab-commands-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const SUITES = { reporter: "default", jobs: 1 } as const;

test("the VM may write to the folder of --output, so that no report is lost with its memory", async () => {
  const output = join(folder, "report.json");
  expect(await labRun([], { ...SUITES, reporter: "json", output, writable: ["/usr"] })).toBe(7);
  expect(runs[0]?.writable).toEqual(["/usr", folder]);
  const called = ["--called=lab", "--called=run"];
  expect(runs[0]?.command.slice(2)).toEqual(["run", ...called, "--reporter=json", `--output=${output}`]);
});

test("a command gets the VM that is described, and nothing of ours", async () => {
  await labRun(["dmesg", "-w"], {
    reporter: "default",
    iommu: "amd",
    memoryMiB: 1024,
    timeoutMs: 5000,
    bootTimeoutMs: 90_000,
  });
  expect(runs).toEqual([
    {
      iommu: "amd",
      memoryMiB: 1024,
      timeoutMs: 5000,
      bootTimeoutMs: 90_000,
      command: ["dmesg", "-w"],
    },
  ]);
});

test("a VM with another CPU runs its own Node; a command is passed on as it is", async () => {
  await labRun([], { ...SUITES, arch: "arm64" });
  await labRun(["dmesg"], { reporter: "default", arch: "arm64" });
  expect(runs.map(({ arch }) => arch)).toEqual(["arm64", "arm64"]);
  expect(runs[0]?.command.slice(0, 1)).toEqual([GUEST_NODE]);
  expect(runs[0]?.command).toContain("--called=--arch=arm64");
  expect(runs[1]?.command).toEqual(["dmesg"]);
});

test("kernels that find bugs are built for x86_64 alone", async () => {
  const options = { reporter: "default", arch: "arm64", with: ["kasan"] } as const;
  await expect(labRun(["dmesg"], options)).rejects.toThrow(/"arm64".*x86_64 beside --with/);
  await expect(labSetup({ arch: "arm64", source: "/linux" })).rejects.toThrow(/"arm64".*x86_64 beside --with/);
});

test("--jobs says nothing to a command", async () => {
  await expect(labRun(["dmesg"], SUITES)).rejects.toThrow("no option of the suites beside a command");
});

test("--with boots the kernel that was built so, with its parameters and more time", async () => {
  await labRun(["dmesg"], { reporter: "default", with: ["kasan"], kernelParameters: ["debug"] });
  expect(runs).toEqual([
    {
      command: ["dmesg"],
      kernel: KASAN.image,
      kernelParameters: ["kasan_multi_shot", "debug"],
      bootTimeoutMs: 180_000,
      slowdown: 3,
    },
  ]);
  await expect(labRun(["dmesg"], { reporter: "default", with: ["kasan"], kernel: "/bzImage" })).rejects.toThrow(
    "no image beside",
  );
});

test("the VM may write to where the file of --output really is", async () => {
  const real = join(folder, "real");
  const output = join(folder, "report.json");
  mkdirSync(real);
  symlinkSync("step", output);
  symlinkSync("real/report.json", join(folder, "step"));
  await labRun([], { ...SUITES, reporter: "json", output });
  expect(runs[0]?.writable).toEqual([real]);
});

describe("what the suites would refuse is refused before anything boots", () => {
  const saved = process.env;
  beforeEach(() => {
    process.env = { ...saved };
  });
  afterEach(() => {
    process.env = saved;
    expect(runs).toEqual([]);
  });

  test("options", async () => {
    await expect(labRun([], { ...SUITES, driver: ["./nowhere.cjs"] })).rejects.toThrow("nowhere.cjs was not found");
    await expect(labRun([], { ...SUITES, mode: ["type9"] })).rejects.toThrow("type9");
    await expect(labRun([], { ...SUITES, kvmIrq: "-z" })).rejects.toThrow("-z");
  });

  test("a pattern or an id that no test can match, also beside --list", async () => {
    const refusal = /no test matches "nothing_has_this_name"/;
    await expect(labRun([], { ...SUITES, test: "nothing_has_this_name" })).rejects.toThrow(refusal);
    await expect(labRun([], { ...SUITES, test: "nothing_has_this_name", list: true })).rejects.toThrow(refusal);
    await expect(labRun([], { ...SUITES, run: ["nothing_has_this_name"] })).rejects.toThrow(
      /no test has the id "nothing_has_this_name"/,
    );
    const other = { mode: ["iommufd"], test: "vfio_type1_iommu" };
    await expect(labRun([], { ...SUITES, ...other })).rejects.toThrow(/vfio_type1_iommu/);
  });

  test("a VM whose CPU the addon was not built for", async () => {
    requireGuestAddon.mockImplementation(() => {
      throw new Error("no addon");
    });
    await expect(labRun([], { ...SUITES, arch: "arm64" })).rejects.toThrow("no addon");
  });

  test("the environment that the VM gets", async () => {
    process.env["VFIO_SELFTESTS_MODE"] = "type9";
    await expect(labRun([], SUITES)).rejects.toThrow("type9");
  });
});

test("a terminal's width and the kept durations go into the one VM, where the run draws its live line", async () => {
  const { isTTY, columns } = process.stdout;
  try {
    Object.assign(process.stdout, { isTTY: true, columns: 72 });
    await labRun([], SUITES);
    Object.assign(process.stdout, { isTTY: false });
    await labRun([], SUITES);
  } finally {
    Object.assign(process.stdout, { isTTY, columns });
  }
  expect(runs[0]?.env).toEqual({
    VFIO_SELFTESTS_TERMINAL_COLUMNS: "72",
    VFIO_SELFTESTS_DURATIONS_FILE: expect.stringMatching(/\/durations\/igb\+intel\.json$/) as string,
  });
  expect(runs[1]?.env).toEqual({});
});
