import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { labCache, writeJson } from "../cache/cache";
import { COMPLETE_QEMU, systemQemu } from "../machine/qemu";
import { addFakeQemu, type FakeQemu } from "../testing/fake-qemu";
import { KERNEL_IMAGE, makeTestHost, type TestHost } from "../testing/test-host";
import { type LabRunOptions, runInLab } from "./run";

/** A lab that is set up with a fake QEMU and an image of some bytes. */
async function makeLab(fake: FakeQemu): Promise<TestHost> {
  const host = makeTestHost();
  addFakeQemu(host, fake);
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, KERNEL_IMAGE);
  writeJson(labCache(host).state, { qemu: await systemQemu(host, COMPLETE_QEMU), kernel });
  return host;
}

class Collector extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.text += chunk.toString();
    callback();
  }
}

async function run(host: TestHost, options: Partial<LabRunOptions> = {}) {
  const [stdout, stderr, console] = [new Collector(), new Collector(), new Collector()];
  const result = await runInLab({ command: ["true"], host, stdout, stderr, console, ...options });
  return { ...result, stdout: stdout.text, stderr: stderr.text, console: console.text };
}

const failsWith = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

/** Folders and processes of ours. */
function leftovers(host: TestHost): string[] {
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith(`vfio-lab-run-${process.pid}-`));
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(host.folder);
      } catch {
        return false;
      }
    });
  return [...folders, ...processes];
}

test("output of both streams and the exit status come through, and nothing is left", async () => {
  using host = await makeLab({
    guest: `guest.send("ready 1"); guest.stdout("out"); guest.stderr("err"); guest.endStreams(); guest.send("exit 3");`,
  });
  expect(await run(host)).toMatchObject({ exitCode: 3, ended: "exit", stdout: "out", stderr: "err" });
  expect(leftovers(host)).toEqual([]);
});

test("output that is still on its way when the exit status comes is not lost", async () => {
  using host = await makeLab({
    guest: `guest.send("ready 1"); guest.send("exit 0"); setTimeout(() => { guest.stdout("late"); guest.endStreams(); }, 300);`,
  });
  expect(await run(host)).toMatchObject({ exitCode: 0, stdout: "late" });
});

test("input reaches the guest", async () => {
  using host = await makeLab({
    guest: `guest.send("ready 1"); guest.stdin.once("data", (data) => { guest.stdout("got " + data); guest.endStreams(); guest.send("exit 0"); });`,
  });
  expect(await run(host, { stdin: Readable.from(["hello"]) })).toMatchObject({ stdout: "got hello" });
});

test("the kernel's console is shown live and kept", async () => {
  using host = await makeLab({
    guest: `guest.console("Linux version 7.2\\n"); setTimeout(() => { guest.send("ready 1"); guest.endStreams(); guest.send("exit 0"); }, 100);`,
  });
  const result = await run(host);
  expect(result.console).toBe("Linux version 7.2\n");
  expect(readFileSync(result.consoleLog, "utf8")).toBe("Linux version 7.2\n");
});

test("the kernel's last words, at power-off, are on the console", async () => {
  using host = await makeLab({
    guest: `guest.onLine((line) => { if (line === "off") guest.console("reboot: Power down\\n"); });
      guest.send("ready 1"); guest.endStreams(); guest.send("exit 0");`,
  });
  const result = await run(host);
  expect(readFileSync(result.consoleLog, "utf8")).toBe("reboot: Power down\n");
});

test("a guest that does not switch off is ended", async () => {
  using host = await makeLab({
    guest: `process.exit = () => undefined; guest.send("ready 1"); guest.endStreams(); guest.send("exit 5");`,
  });
  expect(await run(host)).toMatchObject({ exitCode: 5 });
  expect(leftovers(host)).toEqual([]);
}, 20_000);

test("a guest that goes down in a test of ours is named with it", async () => {
  using host = await makeLab({
    guest: `guest.console("[    9.000000] vfio-selftests: test a.b.c\\r\\n[    9.100000] Kernel panic - not syncing\\r\\n");
      guest.send("ready 1"); setTimeout(() => process.abort(), 300);`,
  });
  await expect(run(host)).rejects.toEqual(failsWith("ERR_LAB_GUEST_LOST", /went down in the test a\.b\.c: /));
});

test("runs at the same time keep a console each", async () => {
  using host = await makeLab({
    guest: `guest.console(process.pid + "\\n"); guest.send("ready 1"); guest.stdout(String(process.pid)); guest.endStreams(); guest.send("exit 0");`,
  });
  const results = await Promise.all([run(host), run(host)]);
  for (const { stdout, consoleLog } of results) expect(readFileSync(consoleLog, "utf8")).toBe(`${stdout}\n`);
});

test("the last twenty consoles are kept", async () => {
  using host = await makeLab({
    guest: `guest.send("ready 1"); guest.endStreams(); guest.send("exit 0");`,
  });
  const { consoles } = labCache(host);
  mkdirSync(consoles, { recursive: true });
  for (let day = 10; day < 35; day++) writeFileSync(join(consoles, `2020-01-${day}.log`), "");
  const { consoleLog } = await run(host);
  const kept = readdirSync(consoles).sort();
  expect(kept).toHaveLength(20);
  expect(kept[0]).toBe("2020-01-16.log");
  expect(join(consoles, kept[19] ?? "")).toBe(consoleLog);
});

test("a guest that finds a mount missing says so on its console", async () => {
  using host = await makeLab({
    guest: `guest.console("lab: the guest has no devtmpfs at /dev\\r\\nKernel panic"); setTimeout(() => process.exit(0), 100);`,
  });
  await expect(run(host)).rejects.toEqual(
    failsWith("ERR_LAB_BOOT", /did not boot: the guest has no devtmpfs at \/dev\n/),
  );
});

test("a guest that does not boot in time is an error with the end of its console", async () => {
  using host = await makeLab({ guest: `guest.console("VFS: Cannot open root device\\n");` });
  await expect(run(host, { bootTimeoutMs: 1500 })).rejects.toEqual(
    failsWith("ERR_LAB_BOOT", /within 1\.5 s[^]*\| VFS: Cannot open root device[^]*Remedy: check the kernel image/),
  );
  expect(leftovers(host)).toEqual([]);
});

test("a QEMU that ends at once is an error with what it said", async () => {
  using host = await makeLab({ guest: `console.error("could not load kernel"); process.exit(1);` });
  await expect(run(host)).rejects.toEqual(failsWith("ERR_LAB_BOOT", /exit status 1[^]*\| could not load kernel/));
});

test("a QEMU that refuses the caller's words is an error with what it said, and the words", async () => {
  using host = await makeLab({
    guest: `console.error("-device " + process.argv.at(-1) + ": not valid"); process.exit(1);`,
  });
  await expect(run(host, { qemuArguments: ["-device", "rabbit"] })).rejects.toEqual(
    failsWith(
      "ERR_LAB_BOOT",
      /\| -device rabbit: not valid[^]*Remedy: correct what QEMU was given: --qemu-arg=-device --qemu-arg=rabbit/,
    ),
  );
});

test("a guest that cannot bind the device says so", async () => {
  using host = await makeLab({ guest: `guest.send("failed the guest could not bind 0000:01:00.0 to vfio-pci");` });
  await expect(run(host)).rejects.toEqual(failsWith("ERR_LAB_BOOT", /could not bind 0000:01:00\.0/));
});

test("a guest that goes down under the command is an error, not a status", async () => {
  using host = await makeLab({
    guest: `guest.console("Kernel panic\\n"); guest.send("ready 1"); setTimeout(() => process.exit(0), 300);`,
  });
  await expect(run(host)).rejects.toEqual(failsWith("ERR_LAB_GUEST_LOST", /while the command ran[^]*\| Kernel panic/));
  expect(leftovers(host)).toEqual([]);
});

test("an interrupt goes to the command, whose status counts", async () => {
  using host = await makeLab({
    guest: `guest.onLine((line) => { guest.stdout(line); guest.endStreams(); guest.send("exit 130"); }); guest.send("ready 1"); guest.stdout("up;");`,
  });
  const stdout = new Collector();
  const result = run(host, { stdout });
  await until(() => stdout.text === "up;");
  // "ready" comes by another socket, which this process may read after the output. It has when its timers run again.
  await delay(100);
  process.emit("SIGINT", "SIGINT");
  expect(await result).toMatchObject({ exitCode: 130, ended: "exit" });
  expect(stdout.text).toBe("up;signal INT");
  expect(process.listenerCount("SIGINT")).toBe(0);
});

test("a reader that goes away ends the VM", async () => {
  using host = await makeLab({ guest: `guest.send("ready 1"); setInterval(() => guest.stdout("more"), 50);` });
  const stdout = new Writable({
    write: (_chunk, _encoding, callback) => {
      callback(new Error("EPIPE"));
    },
  });
  expect(await run(host, { stdout })).toMatchObject({ exitCode: 141, ended: "interrupt" });
  expect(leftovers(host)).toEqual([]);
});

test("a second interrupt ends the VM", async () => {
  using host = await makeLab({ guest: `guest.send("ready 1"); guest.stdout("up");` });
  const stdout = new Collector();
  const result = run(host, { stdout });
  await until(() => stdout.text === "up");
  process.emit("SIGTERM", "SIGTERM");
  process.emit("SIGTERM", "SIGTERM");
  expect(await result).toMatchObject({ exitCode: 143, ended: "interrupt" });
  expect(leftovers(host)).toEqual([]);
});

test("an interrupt during boot ends the VM", async () => {
  using host = await makeLab({ guest: `guest.console("booting\\n");` });
  const console = new Collector();
  const result = run(host, { console });
  await until(() => console.text !== "");
  process.emit("SIGINT", "SIGINT");
  expect(await result).toMatchObject({ exitCode: 130, ended: "interrupt" });
});

test("a command that overruns its time is asked to end first", async () => {
  using host = await makeLab({
    guest: `guest.onLine((line) => { guest.stdout(line); guest.endStreams(); guest.send("exit 143"); }); guest.send("ready 1");`,
  });
  expect(await run(host, { timeoutMs: 100 })).toMatchObject({ exitCode: 143, stdout: "signal TERM" });
});

describe("what is refused before anything starts", () => {
  test("a lab that is not set up", async () => {
    using host = makeTestHost();
    await expect(run(host)).rejects.toEqual(failsWith("ERR_LAB_NOT_SET_UP", /Remedy: run `vfio-selftests lab setup`/));
    expect(existsSync(labCache(host).folder)).toBe(false);
  });

  test("a kernel image that is not there, or not a kernel, or a folder", async () => {
    using host = await makeLab({});
    writeFileSync(join(host.folder, "text"), "not a kernel");
    for (const [kernel, what] of [
      [join(host.folder, "none"), /does not exist/],
      [join(host.folder, "text"), /is not a Linux kernel image/],
      [host.folder, /neither a kernel tree nor a build folder/],
    ] as const) {
      await expect(run(host, { kernel })).rejects.toEqual(failsWith("ERR_LAB_NO_IMAGE", what));
    }
  });

  test("a device that the lab's QEMU has not", async () => {
    using host = await makeLab({ version: "10.1.0" });
    await expect(run(host, { devices: ["iommu-testdev"] })).rejects.toEqual(
      failsWith("ERR_LAB_QEMU_TOO_OLD", /needs QEMU 11\.0/),
    );
  });

  test("no command", async () => {
    using host = await makeLab({});
    await expect(run(host, { command: [] })).rejects.toEqual(failsWith("ERR_INVALID_ARGUMENT", /command/));
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error("it did not come about");
    await delay(20);
  }
}
