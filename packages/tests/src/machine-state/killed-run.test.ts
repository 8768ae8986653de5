import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import {
  existsPath,
  hugePageFile,
  linkName,
  listDirectory,
  readAttribute,
  systemPaths,
} from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, note, requireMode, skip } from "@vfio-selftests/harness";
import { onlyInLab } from "../only-in-lab";

const target = kernelTarget();
const mode = defaultMode(target);

/** Programs start slowly under emulation. */
const START_TIMEOUT_MS = 120_000;
const RESTORE_TIMEOUT_MS = 10_000;
jest.setTimeout(2 * START_TIMEOUT_MS);

const COMMAND = join(dirname(require.resolve("@vfio-selftests/cli/package.json")), "dist", "main.js");
const HUGE_PAGES = hugePageFile(2 * 1024 ** 2);

fixture("machine_state_after_a_kill", target, (address) => {
  requireMode(mode);
  const attribute = (name: string) => systemPaths.pciDevice(address, name);
  let child: ChildProcess | undefined;

  onlyInLab("the test kills runs that change the machine");
  afterEach(() => child?.kill("SIGKILL"));

  /** The machine state that tests change. Leaves out what changes by itself. */
  function machine(): Record<string, unknown> {
    return {
      driver: linkName(attribute("driver")),
      override: readAttribute(attribute("driver_override")),
      numVfs: readAttribute(attribute("sriov_numvfs")),
      virtualFunction: existsPath(attribute("virtfn0")),
      hugePages: readAttribute(HUGE_PAGES),
      journals: listDirectory(systemPaths.runtime("changes")),
    };
  }

  async function expectRestored(before: Record<string, unknown>): Promise<void> {
    const killed = performance.now();
    await until(() => JSON.stringify(machine()) === JSON.stringify(before), RESTORE_TIMEOUT_MS);
    expect(machine()).toEqual(before);
    note(`as before ${(performance.now() - killed).toFixed(0)} ms after the process's end`);
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    expect(device.config.vendorId).toBe(Number(readAttribute(attribute("vendor"))));
  }

  it.each(["SIGKILL", "SIGABRT", "SIGTERM", "SIGINT"] as const)("%s_in_the_middle_of_an_sriov_test", async (signal) => {
    if (readAttribute(attribute("sriov_totalvfs")) === undefined) {
      skip({ reason: "the device has no virtual functions (SR-IOV)", remedy: "use igb: pnpm vfio lab run -d igb" });
    }
    const before = machine();
    expect(before).toMatchObject({ numVfs: "0", virtualFunction: false });
    const run = spawn(process.execPath, [COMMAND, "run", "-d", address, "-t", "sriov_uapi_test"], { stdio: "ignore" });
    child = run;
    const ended = once(run, "exit");
    await until(() => existsPath(attribute("virtfn0")) || run.exitCode !== null, START_TIMEOUT_MS);
    // By then the tests run, which open both functions.
    await sleep(500);
    expect(machine()).toMatchObject({ numVfs: "1", virtualFunction: true });
    run.kill(signal);
    expect((await ended) as unknown[]).toEqual([null, signal]);
    await expectRestored(before);
  });

  it("SIGKILL_with_the_driver_unbound_and_huge_pages_given_away", async () => {
    const before = machine();
    const harness = JSON.stringify(require.resolve("@vfio-selftests/harness"));
    const script = `
      const { GuardedDriver, GuardedValue } = require(${harness});
      new GuardedValue(${JSON.stringify(HUGE_PAGES)}).set(1);
      new GuardedDriver(${JSON.stringify(address)}).unbind();
      setInterval(() => {}, 1000);`;
    const changer = spawn(process.execPath, ["-e", script], { stdio: "ignore" });
    child = changer;
    const ended = once(changer, "exit");
    await until(() => linkName(attribute("driver")) === undefined || changer.exitCode !== null, START_TIMEOUT_MS);
    expect(machine()).toMatchObject({ driver: undefined, hugePages: "1" });
    changer.kill("SIGKILL");
    await ended;
    await expectRestored(before);
  });
});

async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition() && performance.now() < deadline) await sleep(20);
}
