import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import type * as LabCommands from "../lab-commands";
import type { LabRunOptions } from "../options";
import { labMatrix } from "./lab-matrix";

const asked: LabRunOptions[] = [];
let runOnMachine: (options: LabRunOptions) => Promise<number>;

// The VM has tests of its own. These cover what the matrix asks of it, and what it makes of the answers.
jest.mock("../lab-commands", () => ({
  ...jest.requireActual<typeof LabCommands>("../lab-commands"),
  labRun: (_command: readonly string[], options: LabRunOptions) => {
    asked.push(options);
    return runOnMachine(options);
  },
}));

let folder = "";
let told = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-matrix-"));
  asked.length = 0;
  told = "";
  const tell = (text: unknown): boolean => ((told += `${String(text)}\n`), true);
  jest.spyOn(console, "log").mockImplementation(tell);
  jest.spyOn(process.stderr, "write").mockImplementation(tell);
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const ID = "f.iommufd.a";

/** Writes a report in which the only test has this result. */
function write({ output = "" }: LabRunOptions, status: "passed" | "failed" | "skipped"): Promise<number> {
  const count = (kind: string): number => Number(kind === status);
  const own = { failed: { failures: ["it broke"] }, skipped: { skip: { reason: "no PRI", remedy: "another" } } };
  const report = {
    version: 1,
    target: [],
    kernel: "7.3.4",
    durationMs: 5,
    errors: [],
    totals: { passed: count("passed"), failed: count("failed"), skipped: count("skipped") },
    exitCode: { passed: 0, failed: 1, skipped: 4 }[status],
    tests: [{ id: ID, mode: "iommufd", status, durationMs: 5, ...(status === "passed" ? {} : own[status]) }],
  };
  writeFileSync(output, JSON.stringify(report));
  return Promise.resolve(report.exitCode);
}

test("each device with each IOMMU, with the options they share and a report of its own", async () => {
  runOnMachine = (options) => write(options, "passed");
  const machines = { devices: ["igb", "edu,igb*2"], iommus: ["intel", "amd"] };
  expect(await labMatrix({ ...machines, output: folder, test: "^f", memoryMiB: 2048 })).toBe(0);
  expect(asked.map(({ devices, iommu }) => [devices, iommu])).toEqual([
    [["igb"], "intel"],
    [["igb"], "amd"],
    [["edu", "igb*2"], "intel"],
    [["edu", "igb*2"], "amd"],
  ]);
  for (const options of asked) expect(options).toMatchObject({ test: "^f", memoryMiB: 2048, reporter: "json" });
  expect(readdirSync(folder).sort()).toEqual([
    "edu+igb*2+amd.json",
    "edu+igb*2+intel.json",
    "igb+amd.json",
    "igb+intel.json",
    "report.html",
  ]);
  expect(told).toContain("1 of 1 tests have the same result");
  expect(readFileSync(join(folder, "report.html"), "utf8")).toContain("edu+igb*2+amd");
});

test("an IOMMU that only another CPU has makes a machine with that CPU", async () => {
  runOnMachine = (options) => write(options, "passed");
  await labMatrix({ iommus: ["smmuv3", "virtio"], output: folder });
  expect(asked.map(({ arch, iommu }) => [arch, iommu])).toEqual([
    ["arm64", "smmuv3"],
    [undefined, "virtio"],
  ]);
  expect(readdirSync(folder)).toContain("igb+smmuv3+arm64.json");
});

test("without words it is the machine of `lab run`", async () => {
  runOnMachine = (options) => write(options, "skipped");
  expect(await labMatrix({ output: folder })).toBe(4);
  expect(asked).toMatchObject([{ devices: ["igb"], iommu: "intel" }]);
});

test("an IOMMU of another CPU brings that CPU", async () => {
  runOnMachine = (options) => write(options, "passed");
  expect(await labMatrix({ iommus: ["virtio", "smmuv3"], output: folder })).toBe(0);
  expect(asked.map(({ arch, iommu }) => [arch, iommu])).toEqual([
    [undefined, "virtio"],
    ["arm64", "smmuv3"],
  ]);
  expect(readdirSync(folder)).toContain("igb+smmuv3+arm64.json");
});

test("kernels are images and the lab's own", async () => {
  runOnMachine = (options) => write(options, "passed");
  // What tells a kernel image by its header is the lab's: MZ, and "HdrS" at 0x202.
  const image = join(folder, "next-bzImage");
  const header = Buffer.alloc(4096);
  header.write("HdrS", 0x202);
  header.writeUInt16LE(0x20c, 0x206);
  writeFileSync(image, header);
  expect(await labMatrix({ kernels: ["lab", image], output: folder })).toBe(0);
  expect(asked.map(({ kernel }) => kernel)).toEqual([undefined, image]);
  expect(told).toContain("igb+intel+next-bzImage");
});

test("a kernel tree that was built in place is its image; the configuration of each kernel is told first", async () => {
  runOnMachine = (options) => write(options, "passed");
  const tree = join(folder, "linux");
  mkdirSync(join(tree, "arch/x86/boot"), { recursive: true });
  writeFileSync(join(tree, "Kconfig"), "");
  await expect(labMatrix({ kernels: [tree], output: folder })).rejects.toThrow(/was not built yet.*--source/s);
  const header = Buffer.alloc(4096);
  header.write("HdrS", 0x202);
  writeFileSync(join(tree, "arch/x86/boot/bzImage"), header);
  writeFileSync(join(tree, ".config"), "# Linux/x86 6.12.3 Kernel Configuration\n");
  await expect(labMatrix({ kernels: ["lab", tree], output: folder })).rejects.toThrow(/lacks options.*CONFIG_VFIO=y/s);
  expect(asked).toEqual([]);
  expect(await labMatrix({ kernels: [tree], anyConfig: true, output: folder })).toBe(0);
  expect(asked).toMatchObject([{ kernel: tree, anyConfig: true }]);
  expect(told).toContain("igb+intel+linux");
});

test("tells in what the machines differ; a failure on one fails the matrix", async () => {
  runOnMachine = (options) => write(options, options.iommu === "amd" ? "failed" : "passed");
  expect(await labMatrix({ iommus: ["intel", "amd", "virtio"], output: folder })).toBe(1);
  expect(told).toMatch(/^ {2}f\.iommufd\.a +\.F\.\n {6}2: it broke$/m);
});

test("a machine that cannot be has its reason, no older report, and the others still run", async () => {
  writeFileSync(join(folder, "igb+amd.json"), "older");
  runOnMachine = (options) => {
    if (options.iommu !== "amd") return write(options, "passed");
    const facts = { code: "ERR_LAB_BOOT", operation: "lab run", subject: "VM", remedy: "look" } as const;
    return Promise.reject(new VfioError("the VM did not boot", facts));
  };
  expect(await labMatrix({ iommus: ["amd", "intel"], output: folder })).toBe(1);
  expect(told).toContain("1  igb+amd\n       no results: the VM did not boot");
  expect(told).toContain("Remedy: look");
  expect(readdirSync(folder).sort()).toEqual(["igb+intel.json", "report.html"]);
});

test("a run that ends without a report is told with its status", async () => {
  runOnMachine = () => Promise.resolve(1);
  expect(await labMatrix({ output: folder })).toBe(1);
  expect(told).toContain("no results: the run ended with status 1 before it had a report");
});

test("an interrupt ends the matrix, which tells what it has", async () => {
  runOnMachine = async (options) => (await write(options, "passed"), 130);
  expect(await labMatrix({ iommus: ["intel", "amd", "virtio"], output: folder })).toBe(130);
  expect(asked).toHaveLength(1);
  expect(told).toContain("interrupted: 2 of 3 machines were not tried");
  expect(told).toContain("1 of 1 tests");
});

test("an error that this program does not foresee is none of the machine's", async () => {
  runOnMachine = () => Promise.reject(new TypeError("a defect"));
  await expect(labMatrix({ output: folder })).rejects.toThrow("a defect");
});

test.each([
  [{ devices: ["igp"] }, /igp/],
  [{ devices: [","] }, /the devices of a machine/],
  [{ iommus: ["intel", "vax"] }, /vax/],
  [{ kernels: ["/no/such/image"] }, /\/no\/such\/image/],
  [{ devices: ["igb", "igb"] }, /igb\+intel.*each device, IOMMU and kernel once/s],
])("what fits no machine is refused before anything boots: %j", async (words, message) => {
  await expect(labMatrix({ ...words, output: folder })).rejects.toThrow(message);
  expect(asked).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});

test("a folder that cannot be made is refused before anything boots", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  await expect(labMatrix({ output: join(file, "below") })).rejects.toThrow(/cannot make the folder .*ENOTDIR/);
  expect(asked).toEqual([]);
});
