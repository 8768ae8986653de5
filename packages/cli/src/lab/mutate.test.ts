import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Lab from "@vfio-selftests/lab";
import type * as Mutants from "@vfio-selftests/mutants";
import { labMutate } from "./mutate";

const measured: Mutants.MeasureOptions[] = [];
const built: Mutants.MutantKernelOptions[] = [];
let folder = "";
let complete = true;
let status: Mutants.MutantStatus = "survived";
const tried = (): Mutants.TriedMutant => ({ mutant, result: { number: 7, status, by: "fixture.test", ran: 1, of: 1 } });

const mutant: Mutants.Mutant = {
  number: 7,
  file: "drivers/vfio/group.c",
  line: 12,
  column: 3,
  endLine: 12,
  function: "vfio_group_open",
  operator: "errno-exchanged",
  diff: "-\treturn -EBUSY;\n+\treturn -EINVAL;",
};

// The mutants' own tests cover the build and the trials. These cover what the command asks for and prints.
jest.mock("@vfio-selftests/mutants", () => ({
  ...jest.requireActual<typeof Mutants>("@vfio-selftests/mutants"),
  mutantKernel(options: Mutants.MutantKernelOptions) {
    built.push(options);
    return Promise.resolve({
      key: "k",
      variant: "plain",
      image: "/bzImage",
      parameters: [],
      slowdown: 1,
      mutants: [mutant],
      notBuilt: 0,
    });
  },
  measure(options: Mutants.MeasureOptions) {
    measured.push(options);
    return Promise.resolve({ tried: [tried()], noticers: () => ["fixture.test"], complete, folder });
  },
  tryKnownKills(_options: Mutants.MeasureOptions, kills: readonly Mutants.KnownKill[]) {
    expect(kills).toMatchObject([{ function: "vfio_group_open", by: "fixture.test" }]);
    return Promise.resolve({ tried: [tried()], complete, unknown: [] });
  },
}));

const inVm: (readonly string[] | undefined)[] = [];
jest.mock("@vfio-selftests/lab", () => ({
  ...jest.requireActual<typeof Lab>("@vfio-selftests/lab"),
  runInLab({ devices }: Lab.LabRunOptions) {
    for (const device of devices ?? []) expect(existsSync(device.replace("vfio-user:", ""))).toBe(true);
    inVm.push(devices);
    return Promise.resolve({ exitCode: 0 });
  },
}));

let output: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mutate-"));
  measured.length = 0;
  built.length = 0;
  output = [];
  complete = true;
  status = "survived";
  jest.spyOn(console, "log").mockImplementation((line: string) => void output.push(line));
  jest.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

test("the machine is the VM's, the choice of tests the run's inside it", async () => {
  await labMutate({
    devices: ["edu"],
    iommu: "amd",
    mode: ["iommufd"],
    test: "irq",
    seed: 4,
    with: ["kasan"],
    yes: true,
  });
  expect(built[0]).toMatchObject({ variants: ["kasan"] });
  expect(measured[0]).toMatchObject({ machine: { devices: ["edu"], iommu: "amd" }, sample: 40, seed: 4 });
  expect(measured[0]?.machine).not.toHaveProperty("yes");
  expect(measured[0]?.command.slice(2)).toEqual(["run", "--mode=iommufd", "--test=irq", "--reporter=tap"]);
});

test("each VM has device models of its own, and the results belong to the model's name", async () => {
  await labMutate({ devices: ["model:capabilities"] });
  expect(measured[0]).toMatchObject({ machine: { devices: ["model:capabilities"] } });
  const run = { devices: ["model:capabilities"], command: ["true"] };
  await measured[0]?.runInVm(run);
  await measured[0]?.runInVm(run);
  const [first, second] = inVm;
  expect(first).toEqual([expect.stringMatching(/^vfio-user:.*[.]sock$/)]);
  expect(second).not.toEqual(first);
});

test("a survivor is told with its place, its change, and the tests that passed it by; also in a file", async () => {
  expect(await labMutate({})).toBe(0);
  const text = readFileSync(join(folder, "report.txt"), "utf8");
  for (const all of [output.join("\n"), text]) {
    expect(all).toContain("drivers/vfio/group.c:12 vfio_group_open: errno-exchanged (mutant 7)\n  -\treturn -EBUSY;");
    expect(all).toContain("passed by 1 test: fixture.test");
    expect(all).toContain("0 of 1 mutants in lines that tests reach were noticed (0.0 %)");
  }
});

test("an interrupted measurement says that it goes on, and is no success", async () => {
  complete = false;
  expect(await labMutate({})).toBe(1);
  expect(output.at(-1)).toBe("interrupted: the same command goes on");
});

test("the C suite stands where ours does, test by test", async () => {
  const program = join(folder, "vfio_pci_device_test");
  writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
  await labMutate({ cSuite: folder });
  expect(measured[0]?.command.slice(2)).toEqual(["upstream", `--dir=${folder}`, "--program=vfio_", "--reporter=tap"]);
  expect(measured[0]?.recording).toMatchObject({ tests: expect.arrayContaining(["vfio_cdev.bind"]) as string[] });
  await expect(labMutate({ cSuite: folder, mode: ["iommufd"] })).rejects.toThrow("no option of our suites");
  await expect(labMutate({ cSuite: join(folder, "none") })).rejects.toMatchObject({ code: "ENOENT" });
});

test("mutants that a test killed are kept, and each must be noticed by its test the next time", async () => {
  const file = join(folder, "known.json");
  status = "killed";
  expect(await labMutate({ keepKnown: file })).toBe(0);
  expect(await labMutate({ known: file })).toBe(0);
  expect(output.at(-1)).toBe("1 of 1 known mutants noticed");
  status = "survived";
  expect(await labMutate({ known: file })).toBe(1);
  expect(output).toContain("no longer noticed: drivers/vfio/group.c:12 vfio_group_open: errno-exchanged");
  await expect(labMutate({ known: join(folder, "none") })).rejects.toThrow("a file of --keep-known");
});

test("what makes no sense is refused before anything is built", async () => {
  await expect(labMutate({ operators: ["sabotage"] })).rejects.toThrow("sabotage");
  await expect(labMutate({ mutants: ["-1"] })).rejects.toThrow("-1");
  await expect(labMutate({ devices: ["toaster"] })).rejects.toThrow("toaster");
  await expect(labMutate({ devices: ["model:toaster"] })).rejects.toThrow("toaster");
  expect(built).toEqual([]);
});
