import { spawnSync } from "node:child_process";
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { skip } from "@vfio-selftests/harness";
import { notInLab } from "../not-in-lab";
import { type CommandResult, PROGRAM, runCommand } from "./run-command";

const DEVICES = "/sys/bus/pci/devices";

/** Expects a clear error: a message and a remedy, no stack trace, and nothing on standard output. */
function expectClearError(result: CommandResult, code: number, message: RegExp): void {
  expect(result.err).toMatch(message);
  expect(result.err).not.toMatch(/\n\s+at .*:\d+:\d+/);
  expect(result.err).not.toContain("not an error this program foresees");
  expect({ code: result.code, out: result.out }).toEqual({ code, out: "" });
}

describe("bad_input", () => {
  notInLab();
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });

  /** A folder with a file that looks like a program of the C suite. */
  const programs = (): string => {
    const folder = mkdtempSync(join(tmpdir(), "programs-"));
    folders.push(folder);
    copyFileSync("/bin/true", join(folder, "vfio_true_test"));
    return folder;
  };

  it("unknown_device", () => {
    expectClearError(runCommand(["run", "-d", "0000:ff:1f.7"]), 1, /no PCI device at 0000:ff:1f\.7\n.*Remedy: .*list/);
  });

  it("address_that_is_none", () => {
    expectClearError(runCommand(["run", "-d", "hello"]), 2, /"hello"; allowed: .*DDDD:BB:DD\.F/);
    expectClearError(runCommand(["run"], { VFIO_SELFTESTS_BDF: "hello" }), 2, /"hello"; allowed: /);
  });

  it("device_of_another_driver_or_none", () => {
    const address = (existsSync(DEVICES) ? readdirSync(DEVICES) : []).find((name) => driverOf(name) !== "vfio-pci");
    if (address === undefined) {
      skip({ reason: "this machine has no PCI device without vfio-pci", remedy: "run on a machine with PCI devices" });
    }
    expectClearError(runCommand(["run", "-d", address]), 1, /not to vfio-pci\n.*Remedy: .*vfio-selftests bind/);
  });

  it("wrong_mode_name", () => {
    const address = existsSync(DEVICES)
      ? readdirSync(DEVICES).find((name) => driverOf(name) === "vfio-pci")
      : undefined;
    const args = address === undefined ? ["run", "--mode", "type9"] : ["run", "-d", address, "--mode", "type9"];
    expectClearError(runCommand(args), 2, /type9/);
  });

  it("mode_without_device_of_the_kernel", () => {
    expectClearError(
      runCommand(["run", "--mode", "iommufd"]),
      2,
      /needs a device of the kernel.*\n.*Remedy: .*lab run/,
    );
  });

  it("vfio_user_socket_that_is_not_there", () => {
    expectClearError(
      runCommand(["run", "-d", "vfio-user:/nowhere/socket"]),
      1,
      /nowhere\/socket.*\n.*Remedy: .*model serve/,
    );
  });

  it("unknown_model", () => {
    expectClearError(runCommand(["run", "-d", "model:nvme"]), 2, /"nvme"; allowed: ioat, dsa/);
  });

  it("pattern_that_matches_nothing", () => {
    for (const list of [[], ["--list"]]) {
      const { code, err } = runCommand(["run", ...list, "-t", "no_such_test"]);
      expect({ list, code }).toEqual({ list, code: 2 });
      expect(err).toMatch(/no test matches "no_such_test"\n *Remedy: .*--list/);
    }
  });

  it("id_that_upstream_has_not", () => {
    const ids = ["vfio_pci_config.walk_ends_and_finds_each_once", "vfio_pci_device_test.reset"];
    const options = ids.flatMap((id) => ["-r", id]);
    const { code, out } = runCommand(["run", "-d", "model:ioat", "--list", "--upstream", ...options]);
    expect({ code, out }).toEqual({ code: 0, out: "vfio_pci_device_test.reset\n" });
    expect(runCommand(["run", "--list", "--upstream", "-r", ids[0] ?? ""]).code).toBe(2);
  });

  it("driver_that_is_not_there", () => {
    expectClearError(runCommand(["run", "--driver", "./nowhere.cjs"]), 1, /nowhere\.cjs was not found.*\n.*Remedy: /);
  });

  it("kernel_image_that_is_not_there", () => {
    const result = runCommand(["lab", "setup", "--kernel", "/nowhere/bzImage"], { XDG_CACHE_HOME: "/nowhere" });
    expectClearError(result, 1, /nowhere\/bzImage/);
  });

  it("bind_of_a_device_that_is_not_there_leaves_no_state", () => {
    const runtime = join(__dirname, "no-such-runtime-directory");
    expectClearError(runCommand(["bind", "0000:ff:1f.7"], { XDG_RUNTIME_DIR: runtime }), 1, /no PCI device/);
    expect(existsSync(runtime)).toBe(false);
  });

  it("model_socket_in_a_folder_that_is_not_there", () => {
    expectClearError(runCommand(["model", "serve", "ioat", "--socket", "/nowhere/x"]), 1, /nowhere\/x/);
  });

  it("report_that_cannot_be_written", () => {
    const { code, err } = runCommand(["run", "-t", "init_remove", "--reporter", "json", "--output", "/dev/full"]);
    expect(code).toBe(1);
    expect(err).toMatch(/cannot write the report to \/dev\/full: ENOSPC\n.*Remedy: /);
    expect(err).not.toContain("not an error this program foresees");
    const upstream = ["upstream", "--dir", programs(), "--output", "/nowhere/x"];
    expectClearError(runCommand(upstream), 1, /cannot write the report to \/nowhere\/x: ENOENT\n.*Remedy: /);
  });

  it.each([
    ["list", "--list"],
    ["report", "--reporter=json"],
  ])("standard_output_that_cannot_take_the_%s", (_, option) => {
    const out = openSync("/dev/full", "w");
    const args = ["run", "-t", "init_remove", "-d", "model:ioat", option];
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", out, "pipe"] });
    closeSync(out);
    expect(stderr.toString()).toContain("vfio-selftests: cannot write to standard output: ");
    expect(status).toBe(1);
  });

  it("debug_shows_the_stack", () => {
    const { err } = runCommand(["run", "-d", "0000:ff:1f.7"], { VFIO_SELFTESTS_DEBUG: "1" });
    expect(err).toMatch(/\n\s+at .*:\d+:\d+/);
  });
});

function driverOf(address: string): string | undefined {
  try {
    return basename(readlinkSync(join(DEVICES, address, "driver")));
  } catch {
    return undefined;
  }
}
