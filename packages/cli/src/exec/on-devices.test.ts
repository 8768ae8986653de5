import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { existsPath, linkName, listDirectory } from "@vfio-selftests/core/sysfs";
import { FakeSystem } from "@vfio-selftests/core/testing";
import { execute, openShell } from "./on-devices";
import { runChild } from "./run-child";

const FIRST = "0000:01:00.0";
const SECOND = "0000:02:00.0";

let machine: FakeSystem;
let folder: string;
let children: ChildProcess[];
let told: string;
beforeEach(() => {
  machine = new FakeSystem();
  machine.driver("vfio-pci");
  machine.pci({ address: FIRST, driver: "igb" });
  machine.pci({ address: SECOND, driver: "igb" });
  folder = mkdtempSync(join(tmpdir(), "exec-"));
  children = [];
  told = "";
  jest.spyOn(process.stderr, "write").mockImplementation((text) => ((told += String(text)), true));
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
  machine[Symbol.dispose]();
});

const file = (name: string) => join(folder, name);
const text = (name: string) => readFileSync(file(name), "utf8");
const driverOf = (address: string) => linkName(machine.paths.pciDevice(address, "driver"));
const boundBack = () => machine.read("sys/bus/pci/drivers/igb/bind").trim();

describe("exec", () => {
  it("runs the program while vfio-pci has the devices, and gives its exit code and them back", async () => {
    const driver = machine.paths.pciDevice(FIRST, "driver");
    const script = `echo "$VFIO_SELFTESTS_BDF" >${file("bdf")}; readlink ${driver} >${file("driver")}; exit 7`;
    expect(await execute(["sh", "-c", script], { device: ["8086:10c9"] }, machine.paths)).toBe(7);
    expect(text("bdf")).toBe(`${FIRST} ${SECOND}\n`);
    expect(text("driver")).toMatch(/vfio-pci\n$/);
    expect(boundBack()).toBe(FIRST);
    expect(listDirectory(machine.paths.runtime("changes"))).toEqual([]);
  });

  it("passes the program's words on as they are", async () => {
    const words = ["a b", "$HOME", "-d", "--", "*"];
    await execute(
      ["sh", "-c", `printf '%s\\n' "$@" >${file("words")}`, "sh", ...words],
      { device: [FIRST] },
      machine.paths,
    );
    expect(text("words")).toBe(`${words.join("\n")}\n`);
  });

  it("gives the devices back after a program that does not start, or that a signal ended", async () => {
    expect(await execute(["/nowhere/program"], { device: [FIRST] }, machine.paths)).toBe(127);
    expect(told).toMatch(/cannot start \/nowhere\/program: .*ENOENT\n.*Remedy: /);
    expect(boundBack()).toBe(FIRST);
    machine.setDriver(SECOND, "igb");
    expect(await execute(["sh", "-c", "kill -9 $$"], { device: [SECOND] }, machine.paths)).toBe(137);
    expect(boundBack()).toBe(SECOND);
  });

  it("runs nothing where a device cannot be bound", async () => {
    const marker = file("ran");
    await expect(execute(["touch", marker], { device: ["0000:09:00.0"] }, machine.paths)).rejects.toThrow(
      "no PCI device",
    );
    await expect(execute(["touch", marker], { device: [FIRST, "1af4:1041"] }, machine.paths)).rejects.toThrow(
      "1af4:1041",
    );
    expect(existsPath(marker)).toBe(false);
    expect(driverOf(FIRST)).toBe("igb");
  });
});

describe("shell", () => {
  it("is the user's, and says what is bound and how one leaves it", async () => {
    const shell = jest.replaceProperty(process, "env", { ...process.env, SHELL: "/bin/false" });
    expect(await openShell({ device: [FIRST] }, machine.paths)).toBe(1);
    shell.restore();
    expect(told).toContain(`${FIRST} is bound to vfio-pci (was igb)\n`);
    expect(told).toContain("`exit` leaves it");
    expect(boundBack()).toBe(FIRST);
  });
});

describe("signals", () => {
  /** A process of its own, without a terminal, that runs a shell with this script. */
  async function start(script: string): Promise<ChildProcess> {
    const module = JSON.stringify(join(__dirname, "../../dist/exec/run-child.js"));
    const code = `require(${module}).runChild(["sh", "-c", process.argv[1]], {}).then((code) => process.exit(code));`;
    const child = spawn(process.execPath, ["-e", code, script], { stdio: "ignore", detached: true });
    children.push(child);
    for (let i = 0; i < 1000 && !existsPath(file("ready")) && child.exitCode === null; i++) await sleep(10);
    expect(child.exitCode).toBeNull();
    return child;
  }

  it.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const)(
    "%s goes to the program, whose answer counts",
    async (signal) => {
      const name = signal.slice(3);
      const child = await start(`trap 'exit 42' ${name}; : >${file("ready")}; while :; do sleep 0.02; done`);
      const ended = once(child, "exit");
      child.kill(signal);
      expect(await ended).toEqual([42, null]);
    },
  );

  it("leaves the process's own handling as it was", async () => {
    const before = process.listenerCount("SIGTERM");
    expect(await runChild(["true"], {})).toBe(0);
    expect(process.listenerCount("SIGTERM")).toBe(before);
  });
});
