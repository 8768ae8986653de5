import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { existsPath, linkName, listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, GuardedDriver, requireMode } from "@vfio-selftests/harness";
import { PROGRAM, runCommand } from "../command-line/run-command";
import { onlyInLab } from "../only-in-lab";

const target = kernelTarget();
const mode = defaultMode(target);

const QUICK = "vfio_pci_device_test.config_space_read_write";
/** A driver that every kernel of the lab has, and that takes any device. */
const OWNER = "pci-stub";
/** Programs start slowly under emulation. */
const START_TIMEOUT_MS = 150_000;
const RESTORE_TIMEOUT_MS = 10_000;
jest.setTimeout(2 * START_TIMEOUT_MS);

/** `exec`, `shell` and `run --bind` on a device that another driver has: the first, because nothing depends on which. */
fixture("lent_device", { devices: target.devices.slice(0, 1) }, (address) => {
  requireMode(mode);
  let owner: GuardedDriver;
  /** A skipped test has no set-up, but the clean-up. */
  let isSetUp = false;
  let folder = "";
  let children: ChildProcess[] = [];
  let programs: number[] = [];

  onlyInLab("the test binds drivers and kills commands");
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lent-device-"));
    children = [];
    programs = [];
    owner = new GuardedDriver(address);
    isSetUp = true;
    owner.bind(OWNER);
    expect(state()).toEqual(OWNED);
  });
  afterEach(async () => {
    for (const child of children) child.kill("SIGKILL");
    // A program that has the device open would keep this process in the kernel at the next line but one.
    for (const program of programs) tryKill(program);
    if (!isSetUp) return;
    isSetUp = false;
    await until(() => owner.current === OWNER, RESTORE_TIMEOUT_MS);
    owner[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  const OWNED = { driver: OWNER, override: OWNER, others: [] };
  const LENT = { driver: "vfio-pci", override: "vfio-pci" };
  const file = (name: string) => join(folder, name);

  /** The device's driver, and the journals of other processes than this one. */
  function state(): Record<string, unknown> {
    return {
      driver: linkName(systemPaths.pciDevice(address, "driver")),
      override: readAttribute(systemPaths.pciDevice(address, "driver_override")),
      others: listDirectory(systemPaths.runtime("changes")).filter((name) => !name.startsWith(`${process.pid}-`)),
    };
  }

  /** The process id that a program has written down. */
  const programOf = (name: string) => Number(readFileSync(file(name), "utf8"));

  /** Starts the command, and returns when it has made the file `ready`. */
  async function start(...args: string[]): Promise<ChildProcess> {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: "ignore" });
    children.push(child);
    await until(() => existsPath(file("ready")) || child.exitCode !== null, START_TIMEOUT_MS);
    expect({ exitCode: child.exitCode, ready: existsPath(file("ready")) }).toEqual({ exitCode: null, ready: true });
    return child;
  }

  it("exec_runs_the_suites_on_the_device_and_gives_it_back", () => {
    const command = [process.execPath, PROGRAM, "run", "-r", QUICK];
    const { code, out } = runCommand(["exec", "-d", address, "--", ...command], {}, {}, START_TIMEOUT_MS);
    expect(out).toContain(`ok   ${QUICK}`);
    expect(code).toBe(0);
    expect(state()).toEqual(OWNED);
  });

  it("run_with_bind_has_the_device_for_the_run", () => {
    const { code, out } = runCommand(["run", "--bind", "-d", address, "-r", QUICK], {}, {}, START_TIMEOUT_MS);
    expect(out).toContain(`ok   ${QUICK}`);
    expect(code).toBe(0);
    expect(state()).toEqual(OWNED);
  });

  it("a_device_without_a_driver_has_none_again", () => {
    owner.unbind();
    const { code } = runCommand([
      "exec",
      "-d",
      address,
      "--",
      "sh",
      "-c",
      `readlink ${driverLink(address)} >${file("driver")}`,
    ]);
    expect(code).toBe(0);
    expect(readFileSync(file("driver"), "utf8")).toMatch(/vfio-pci\n$/);
    expect(state()).toEqual({ ...OWNED, driver: undefined });
    owner.bind(OWNER);
  });

  it("a_shell_that_is_left_gives_the_device_back", () => {
    const { code, err } = runCommand(["shell", "-d", address], { SHELL: "/bin/false" });
    expect(err).toContain(`${address} is bound to vfio-pci (was ${OWNER})`);
    expect(code).toBe(1);
    expect(state()).toEqual(OWNED);
  });

  it("SIGKILL_of_exec_gives_the_device_back", async () => {
    const child = await start("exec", "-d", address, "--", "sh", "-c", `echo $$ >${file("ready")}; exec sleep 600`);
    programs.push(programOf("ready"));
    expect(state()).toMatchObject(LENT);
    await ended(child, "SIGKILL");
    await until(() => JSON.stringify(state()) === JSON.stringify(OWNED), RESTORE_TIMEOUT_MS);
    expect(state()).toEqual(OWNED);
  });

  it("SIGKILL_of_exec_gives_the_device_back_when_the_program_has_closed_it", async () => {
    const script = `
      const { Iommu, PciDevice } = require(${JSON.stringify(require.resolve("@vfio-selftests/core"))});
      const { findMode } = require(${JSON.stringify(require.resolve("@vfio-selftests/iommu-modes"))});
      globalThis.held = PciDevice.open(new Iommu(findMode("${mode.name}").open()), process.env.VFIO_SELFTESTS_BDF);
      require("node:fs").writeFileSync(${JSON.stringify(file("ready"))}, String(process.pid));
      setInterval(() => {}, 1000);`;
    const child = await start("exec", "-d", address, "--", process.execPath, "-e", script);
    programs.push(programOf("ready"));
    await ended(child, "SIGKILL");
    // The guardian waits in the kernel, which takes the link to the driver away first (__device_release_driver).
    await sleep(1000);
    expect(owner.current).toBeUndefined();
    tryKill(programOf("ready"));
    await until(() => owner.current === OWNER, RESTORE_TIMEOUT_MS);
    await until(() => JSON.stringify(state()) === JSON.stringify(OWNED), RESTORE_TIMEOUT_MS);
    expect(state()).toEqual(OWNED);
  });

  it("SIGTERM_goes_to_the_program_whose_exit_code_counts", async () => {
    const script = `trap 'exit 42' TERM; : >${file("ready")}; while :; do sleep 0.1; done`;
    const child = await start("exec", "-d", address, "--", "sh", "-c", script);
    expect(await ended(child, "SIGTERM")).toEqual([42, null]);
    expect(state()).toEqual(OWNED);
  });
});

function tryKill(program: number): void {
  try {
    process.kill(program, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

function driverLink(address: string): string {
  return systemPaths.pciDevice(address, "driver");
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
  const exit = once(child, "exit");
  child.kill(signal);
  return exit;
}

async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition() && performance.now() < deadline) await sleep(20);
}
