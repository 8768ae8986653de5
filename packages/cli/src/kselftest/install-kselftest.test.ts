import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installKselftest } from "./install-kselftest";

let folder: string;
const file = (name: string): string => join(folder, name);
const read = (name: string): string => readFileSync(file(name), "utf8");

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kselftest-"));
  writeFileSync(file("kselftest-list.txt"), "vfio:vfio_dma_mapping_test\n");
  jest.spyOn(console, "log").mockReturnValue(undefined);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  jest.restoreAllMocks();
});

it("adds one collection with a test and its settings, and again changes nothing", () => {
  expect(installKselftest(folder)).toBe(0);
  expect(installKselftest(folder)).toBe(0);
  expect(read("kselftest-list.txt")).toBe("vfio:vfio_dma_mapping_test\nvfio-ts:vfio-selftests\n");
  expect(read("vfio-ts/settings")).toBe("timeout=3600\n");
  expect(statSync(file("vfio-ts/vfio-selftests")).mode & 0o111).toBe(0o111);
});

it("begins a line of its own in a list whose last line does not end", () => {
  writeFileSync(file("kselftest-list.txt"), "vfio:a");
  installKselftest(folder);
  expect(read("kselftest-list.txt")).toBe("vfio:a\nvfio-ts:vfio-selftests\n");
});

it("refuses a folder that is no kselftest, and leaves it as it is", () => {
  rmSync(file("kselftest-list.txt"));
  expect(() => installKselftest(folder)).toThrow(
    expect.objectContaining({ code: "ENOENT", remedy: expect.stringContaining("INSTALL_PATH") as string }) as Error,
  );
  expect(existsSync(file("vfio-ts"))).toBe(false);
});

describe("the test", () => {
  /** Runs it with a program in place of ours that shows its arguments and exits with `status`. */
  function run(args: readonly string[], status: number, environment: NodeJS.ProcessEnv = {}) {
    installKselftest(folder);
    const script = read("vfio-ts/vfio-selftests");
    const program = file("program.js");
    writeFileSync(program, `console.log(process.argv.slice(2).join(" ")); process.exitCode = ${status};`);
    writeFileSync(file("vfio-ts/vfio-selftests"), script.replace(/^program=.*$/m, `program='${program}'`));
    const { stdout, status: code } = spawnSync(file("vfio-ts/vfio-selftests"), args, {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], ...environment },
    });
    return { stdout, code };
  }

  it.each([
    [0, 0],
    [1, 1],
    [4, 4],
    // KSFT_XFAIL and KSFT_XPASS for kselftest.
    [2, 1],
    [3, 1],
    [127, 1],
  ])("makes %i of the command %i for kselftest", (status, code) => {
    expect(run(["-d", "0000:01:00.0"], status).code).toBe(code);
  });

  it("reports KTAP, with the options that kselftest passes", () => {
    const environment = { VFIO_SELFTESTS_BDF: "0000:01:00.0" };
    expect(run(["--mode", "iommufd"], 0, environment).stdout).toBe("run --reporter ktap --mode iommufd\n");
  });

  it("without a device is a skip, because models test no kernel", () => {
    const { stdout, code } = run(["--mode", "iommufd"], 0);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^KTAP version 1\n1\.\.0 # SKIP no device: set VFIO_SELFTESTS_BDF/);
  });
});
