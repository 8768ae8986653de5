import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestOutcome } from "@vfio-selftests/harness";
import { findPrograms } from "./find-programs";
import { runProgram } from "./run-program";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "upstream-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A shell script in place of a compiled program: only its output and exit status matter. */
function program(name: string, script: string, directory = folder): void {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

async function run(name: string, timeoutMs = 10_000, signal = new AbortController().signal, ids?: readonly string[]) {
  const found = findPrograms(folder).find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`${name} was not found`);
  const tests: TestOutcome[] = [];
  const events = { started: () => undefined, finished: (test: TestOutcome) => void tests.push(test) };
  const errors = await runProgram(
    { program: found, devices: ["0000:01:00.0", "0000:02:00.0"], label: "C", timeoutMs, signal, ids },
    events,
  );
  return { tests, errors };
}

test("finds programs in a kernel tree and in a directory, and takes no other files", () => {
  const tree = join(folder, "tools/testing/selftests/vfio");
  mkdirSync(tree, { recursive: true });
  program("vfio_pci_device_test", "", tree);
  program("run.sh", "", tree);
  writeFileSync(join(tree, "vfio_dma_mapping_test"), "not executable");
  expect(findPrograms(folder).map(({ name }) => name)).toEqual(["vfio_pci_device_test"]);
  rmSync(join(folder, "tools"), { recursive: true });
  program("iommufd", "");
  expect(findPrograms(folder)).toEqual([{ name: "iommufd", path: join(folder, "iommufd"), takesDevices: false }]);
});

test.each([
  ["/nonexistent", "give --dir a kernel tree"],
  [tmpdir(), "make headers"],
])("%s: no programs, with the remedy", (directory, remedy) => {
  expect(() => findPrograms(directory)).toThrow(remedy);
});

test("VFIO's programs get the devices", async () => {
  program("vfio_pci_device_test", 'echo 1..1; echo "ok 1 args.$(echo $* | tr -d " ")"');
  const { tests, errors } = await run("vfio_pci_device_test");
  expect(tests.map(({ id }) => id)).toEqual(["args.0000:01:00.00000:02:00.0"]);
  expect(errors).toEqual([]);
});

test("ids are handed to the program, which may have none of them", async () => {
  program("vfio_pci_device_test", 'echo 1..1; echo "ok 1 args.$(echo $* | tr -d " ")"');
  const { tests } = await run("vfio_pci_device_test", undefined, undefined, ["a.b", "c.d"]);
  expect(tests.map(({ id }) => id)).toEqual(["args.-ra.b-rc.d0000:01:00.00000:02:00.0"]);
  program("vfio_pci_driver_test", "echo 1..0");
  expect((await run("vfio_pci_driver_test", undefined, undefined, ["a.b"])).errors).toEqual([]);
});

test("a program that dies in the middle is an error, with its last words", async () => {
  program("vfio_pci_driver_test", "echo 1..3; echo ok 1 a.b; echo no memory >&2; exit 1");
  const { tests, errors } = await run("vfio_pci_driver_test");
  expect(tests).toHaveLength(1);
  expect(errors).toEqual(["vfio_pci_driver_test: 1 of 3 tests ran, then it ended (1); its last words: no memory"]);
});

test("a program that tests nothing is an error, unless it says that it skips", async () => {
  program("vfio_dma_mapping_test", "exit 0");
  program("vfio_pci_sriov_uapi_test", "exit 4");
  expect((await run("vfio_dma_mapping_test")).errors).toEqual(["vfio_dma_mapping_test: ran no test (0)"]);
  expect((await run("vfio_pci_sriov_uapi_test")).errors).toEqual([]);
});

test("a hung program is killed with its children", async () => {
  program("vfio_pci_driver_test", "echo 1..1; sleep 100 & sleep 100");
  const { errors } = await run("vfio_pci_driver_test", 200);
  expect(errors[0]).toBe("vfio_pci_driver_test: did not end within 0.2 s and was killed");
});

test("an interrupt ends the program", async () => {
  program("vfio_pci_driver_test", "echo 1..1; sleep 100");
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 2000);
  expect((await run("vfio_pci_driver_test", 60_000, abort.signal)).errors[0]).toContain("0 of 1 tests ran");
});
