import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { existsPath, listDirectory, readAttribute, SystemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedDevice } from "./guarded-device";
import { GuardedDriver } from "./guarded-driver";
import { GuardedValue } from "./guarded-value";
import { JOURNALS } from "./machine-changes";
import { restoreLeftovers } from "./restore-leftovers";

const PF = "0000:01:00.0";

/** A tree of ordinary files in the place of the kernel's: what is written to a file is what it holds. */
let root: string;
let paths: SystemPaths;
let children: ChildProcess[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "machine-state-"));
  paths = new SystemPaths(root);
  children = [];
  put(numVfs(), "0\n");
  put(hugePages(), "64\n");
  put(affinity(), "0-1\n");
  put(parameter(), "Y\n");
  put(paths.pciDevice(PF, "driver_override"), "(null)\n");
  for (const driver of ["vfio-pci", "igb"]) {
    for (const file of ["bind", "unbind"]) put(paths.sys("bus", "pci", "drivers", driver, file), "");
  }
  symlinkSync("../../drivers/igb", paths.pciDevice(PF, "driver"));
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await until(() => guardians().length === 0);
  rmSync(root, { recursive: true });
});

const numVfs = () => paths.pciDevice(PF, "sriov_numvfs");
const hugePages = () => paths.sys("kernel", "mm", "hugepages", "hugepages-2048kB", "nr_hugepages");
const affinity = () => paths.proc("irq", "47", "smp_affinity_list");
const parameter = () => paths.sys("module", "vfio_pci", "parameters", "enable_sriov");
const driverFile = (driver: string, file: string) => paths.sys("bus", "pci", "drivers", driver, file);
const journals = () => listDirectory(paths.runtime(JOURNALS));

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** A process that changed `sriov_numvfs` is killed, and every write to the file fails. Gives the guardian time for some. */
async function killWhileBusy(): Promise<void> {
  const child = await changedBy(set(numVfs(), "1"));
  rmSync(numVfs());
  symlinkSync("/", numVfs());
  child.kill("SIGKILL");
  await sleep(300);
  expect(journals()).toHaveLength(1);
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

/** Process ids of guardians of this tree. */
function guardians(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => readAttribute(`/proc/${pid}/cmdline`)?.includes(`guardian\0${root}`) === true)
    .map(Number);
}

/** A process that makes these changes and then does not come to its end. */
async function changedBy(changes: string): Promise<ChildProcess> {
  const ready = join(root, "ready");
  const dist = (file: string) => JSON.stringify(join(__dirname, "../../dist/machine-state", file));
  const script = `
    const { GuardedDriver } = require(${dist("guarded-driver.js")});
    const { GuardedValue } = require(${dist("guarded-value.js")});
    const { SystemPaths } = require("@vfio-selftests/core/sysfs");
    const paths = new SystemPaths(${JSON.stringify(root)});
    ${changes}
    require("node:fs").writeFileSync(${JSON.stringify(ready)}, "");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", script], { cwd: __dirname, stdio: ["ignore", "inherit", "inherit"] });
  children.push(child);
  await until(() => existsPath(ready) || child.exitCode !== null);
  expect(child.exitCode).toBeNull();
  return child;
}

const set = (path: string, value: string) =>
  `new GuardedValue(${JSON.stringify(path)}, paths).set(${JSON.stringify(value)});`;

/** Everything that tests change. */
const allChanges = () =>
  [set(numVfs(), "1"), set(hugePages(), "0"), set(affinity(), "1"), set(parameter(), "N")].join("\n") +
  `new GuardedDriver("${PF}", paths).bind("vfio-pci");`;

function expectAllRestored(): void {
  expect(readAttribute(numVfs())).toBe("0");
  expect(readAttribute(hugePages())).toBe("64");
  expect(readAttribute(affinity())).toBe("0-1");
  expect(readAttribute(parameter())).toBe("Y");
  expect(readAttribute(paths.pciDevice(PF, "driver_override"))).toBe("");
  expect(readAttribute(driverFile("igb", "bind"))).toBe(PF);
  expect(journals()).toEqual([]);
}

describe("GuardedValue", () => {
  it("puts the value back at disposal, once", async () => {
    const guarded = new GuardedValue(numVfs(), paths);
    guarded.set(7);
    expect(readAttribute(numVfs())).toBe("7");
    expect(journals()).toHaveLength(1);
    guarded[Symbol.dispose]();
    expect(readAttribute(numVfs())).toBe("0");
    expect(journals()).toEqual([]);
    await until(() => guardians().length === 0);
    put(numVfs(), "3");
    guarded[Symbol.dispose]();
    expect(readAttribute(numVfs())).toBe("3");
  });

  it("puts back several changes of one file in the right order, also when disposed in another", () => {
    const first = new GuardedValue(hugePages(), paths);
    first.set(32);
    const second = new GuardedValue(hugePages(), paths);
    second.set(0);
    expect(second.original).toBe("32");
    second[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(readAttribute(hugePages())).toBe("64");
  });

  it("has nothing to do where the file is gone", () => {
    const guarded = new GuardedValue(affinity(), paths);
    rmSync(affinity());
    guarded[Symbol.dispose]();
    expect(existsPath(affinity())).toBe(false);
    expect(journals()).toEqual([]);
  });

  it("is not put back by the guardian of the change before, which may be slow to end", async () => {
    for (let round = 0; round < 20; round++) {
      new GuardedValue(numVfs(), paths)[Symbol.dispose]();
      using value = new GuardedValue(numVfs(), paths);
      value.set(3);
      await until(() => guardians().length === 1);
      expect(readAttribute(numVfs())?.trim()).toBe("3");
    }
  });

  it("keeps the journal, and the guardian, when putting back fails", async () => {
    const guarded = new GuardedValue(numVfs(), paths);
    rmSync(numVfs());
    mkdirSync(numVfs());
    expect(() => {
      guarded[Symbol.dispose]();
    }).toThrow("EISDIR");
    expect(journals()).toHaveLength(1);
    expect(guardians()).toHaveLength(1);
    rmSync(numVfs(), { recursive: true });
    put(numVfs(), "7");
    guarded[Symbol.dispose]();
    expect(readAttribute(numVfs())).toBe("0");
    await until(() => guardians().length === 0);
  });
});

describe("GuardedDriver", () => {
  it("takes the steps back in the kernel's order", () => {
    const guarded = new GuardedDriver(PF, paths);
    expect(guarded.original).toBe("igb");
    guarded.bind("vfio-pci");
    expect(readAttribute(driverFile("igb", "unbind"))).toBe(PF);
    expect(readAttribute(paths.pciDevice(PF, "driver_override"))).toBe("vfio-pci");
    // The kernel would have moved the link.
    rmSync(paths.pciDevice(PF, "driver"));
    symlinkSync("../../drivers/vfio-pci", paths.pciDevice(PF, "driver"));
    guarded[Symbol.dispose]();
    expect(readAttribute(driverFile("vfio-pci", "unbind"))).toBe(PF);
    expect(readAttribute(driverFile("igb", "bind"))).toBe(PF);
    expect(readFileSync(paths.pciDevice(PF, "driver_override"), "utf8")).toBe("\n");
  });

  it("leaves a function alone that has its driver", () => {
    mkdirSync(driverFile("igb", PF));
    new GuardedDriver(PF, paths)[Symbol.dispose]();
    expect(readAttribute(driverFile("igb", "unbind"))).toBe("");
    expect(readAttribute(driverFile("igb", "bind"))).toBe("");
  });
});

describe("GuardedDevice", () => {
  const rescan = () => paths.sys("bus", "pci", "rescan");
  beforeEach(() => put(rescan(), ""));

  it("looks for the device, and gives it its override and driver again", () => {
    put(paths.pciDevice(PF, "driver_override"), "igb\n");
    const guarded = new GuardedDevice(PF, paths);
    put(paths.pciDevice(PF, "driver_override"), "(null)\n");
    guarded[Symbol.dispose]();
    expect(readAttribute(rescan())).toBe("1");
    expect(readAttribute(paths.pciDevice(PF, "driver_override"))).toBe("igb");
    expect(readAttribute(driverFile("igb", "bind"))).toBe(PF);
    expect(journals()).toEqual([]);
  });

  it("leaves a device alone that has its driver", () => {
    mkdirSync(driverFile("igb", PF));
    put(paths.pciDevice(PF, "driver_override"), "igb\n");
    const guarded = new GuardedDevice(PF, paths);
    put(paths.pciDevice(PF, "driver_override"), "other\n");
    guarded[Symbol.dispose]();
    expect(readAttribute(paths.pciDevice(PF, "driver_override"))).toBe("other");
    expect(readAttribute(driverFile("igb", "bind"))).toBe("");
  });

  it("has nothing but a search to do where the device does not come back", () => {
    const guarded = new GuardedDevice(PF, paths);
    rmSync(paths.pciDevice(PF), { recursive: true });
    guarded[Symbol.dispose]();
    expect(readAttribute(rescan())).toBe("1");
    expect(existsPath(paths.pciDevice(PF))).toBe(false);
  });
});

describe("a process that dies", () => {
  it.each(["SIGINT", "SIGTERM", "SIGKILL", "SIGABRT", "SIGHUP"] as const)(
    "of %s leaves the machine as it was",
    async (signal) => {
      const child = await changedBy(allChanges());
      expect(readAttribute(numVfs())).toBe("1");
      expect(readAttribute(hugePages())).toBe("0");
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
      await until(() => journals().length === 0);
      expectAllRestored();
    },
  );

  it("by an uncaught error or process.exit leaves the machine as it was, too", async () => {
    const child = await changedBy(`${allChanges()} process.on("SIGUSR2", () => process.exit(0));`);
    const ended = once(child, "exit");
    child.kill("SIGUSR2");
    expect(await ended).toEqual([0, null]);
    await until(() => journals().length === 0);
    expectAllRestored();
  });

  it("is followed by a guardian that tries again while the kernel is busy", async () => {
    await killWhileBusy();
    // At once, as the kernel does: the file is never missing.
    put(`${numVfs()}.new`, "1");
    renameSync(`${numVfs()}.new`, numVfs());
    await until(() => journals().length === 0);
    expect(readAttribute(numVfs())).toBe("0");
  });

  it("is followed by a guardian that has done its work when what it tries to write is gone", async () => {
    await killWhileBusy();
    rmSync(numVfs());
    await until(() => journals().length === 0);
    expect(existsPath(numVfs())).toBe(false);
  });
});

describe("restoreLeftovers", () => {
  it("does what a guardian that died, too, could not do", async () => {
    const child = await changedBy(allChanges());
    for (const pid of guardians()) process.kill(pid, "SIGKILL");
    await until(() => guardians().length === 0);
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    expect(readAttribute(numVfs())).toBe("1");
    expect(restoreLeftovers(paths)).toContainEqual({ path: numVfs(), value: "0" });
    expectAllRestored();
    expect(restoreLeftovers(paths)).toEqual([]);
  });

  it("does not touch what a living process has changed", async () => {
    await changedBy(set(numVfs(), "1"));
    expect(restoreLeftovers(paths)).toEqual([]);
    expect(readAttribute(numVfs())).toBe("1");
    expect(journals()).toHaveLength(1);
  });

  it("tells what cannot be put back, and keeps it for the next time", () => {
    mkdirSync(paths.runtime(JOURNALS), { recursive: true });
    // No process has this id: PIDs end at 2^22 (PID_MAX_LIMIT).
    put(paths.runtime(JOURNALS, "99999999-1-abcd"), `${root}/sys||x\n${numVfs()}||0\nnonsense\n`);
    put(numVfs(), "1");
    expect(restoreLeftovers(paths)).toEqual([
      { path: `${root}/sys`, value: "x", error: expect.stringContaining("EISDIR") as string },
      { path: numVfs(), value: "0" },
      { path: "nonsense", value: "", error: "the journal's line is damaged" },
    ]);
    expect(readAttribute(numVfs())).toBe("0");
    expect(journals()).toHaveLength(1);
  });
});
