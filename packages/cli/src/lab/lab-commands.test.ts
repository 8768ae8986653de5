import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Lab from "@vfio-selftests/lab";
import { labRun } from "./lab-commands";

const runs: Lab.LabRunOptions[] = [];

// The VM itself is tested in the lab's package; here it is what the command asks of it.
jest.mock("@vfio-selftests/lab", () => ({
  ...jest.requireActual<typeof Lab>("@vfio-selftests/lab"),
  readLabState: () => ({ kernel: "/bzImage" }),
  runInLab: (options: Lab.LabRunOptions) => {
    runs.push(options);
    return Promise.resolve({ exitCode: 7 });
  },
}));

let folder = "";
beforeEach(() => {
  runs.length = 0;
  folder = mkdtempSync(join(tmpdir(), "lab-commands-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const SUITES = { reporter: "default" } as const;

test("the VM may write to the folder of --output, so that no report is lost with its memory", async () => {
  const output = join(folder, "report.json");
  expect(await labRun([], { ...SUITES, reporter: "json", output, writable: ["/usr"] })).toBe(7);
  expect(runs[0]?.writable).toEqual(["/usr", folder]);
  expect(runs[0]?.command.slice(2)).toEqual(["run", "--reporter=json", `--output=${output}`]);
});

test("a command gets the VM that is described, and nothing of ours", async () => {
  await labRun(["dmesg", "-w"], { ...SUITES, iommu: "amd", memoryMiB: 1024, timeoutMs: 5000, bootTimeoutMs: 90_000 });
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
