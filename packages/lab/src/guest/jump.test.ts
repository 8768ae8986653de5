import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { labCache, writeJson } from "../cache/cache";
import { COMPLETE_QEMU, systemQemu } from "../machine/qemu";
import { addFakeQemu } from "../testing/fake-qemu";
import { KERNEL_IMAGE, makeTestHost, type TestHost } from "../testing/test-host";
import { type LabRunOptions, runInLab } from "./run";

/** A lab whose guest the test writes. */
async function makeLab(guest: string): Promise<TestHost> {
  const host = makeTestHost();
  addFakeQemu(host, { guest });
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, KERNEL_IMAGE);
  writeFileSync(join(host.folder, "next"), KERNEL_IMAGE);
  writeJson(labCache(host).state, { qemu: await systemQemu(host, COMPLETE_QEMU), kernel });
  return host;
}

async function run(host: TestHost, options: Partial<LabRunOptions> = {}) {
  const told: string[] = [];
  let output = "";
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  const next = {
    kernel: join(host.folder, "next"),
    command: ["second"],
    onJump: (kernel: string) => void told.push(`jump into ${kernel.slice(host.folder.length)}`),
    onArrival: () => void told.push("arrived"),
  };
  const result = await runInLab({ command: ["first"], host, stdout, next, ...options });
  return { ...result, told, output };
}

const failsWith = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

test("both stages have the same streams, and the exit status is the second one's", async () => {
  using host = await makeLab(`
    guest.send("ready 1"); guest.stdout("one, ");
    setTimeout(() => { guest.send("alive"); guest.send("jump"); guest.send("alive"); }, 50);
    setTimeout(() => { guest.send("ready 1"); guest.stdout("two"); guest.endStreams(); guest.send("exit 4"); }, 200);`);
  expect(await run(host)).toMatchObject({
    exitCode: 4,
    ended: "exit",
    jumped: true,
    output: "one, two",
    told: ["jump into /next", "arrived"],
  });
});

test("the guest finds both commands, and the image of the next kernel", async () => {
  using host = await makeLab(`
    const folder = path.dirname(control);
    const stages = ["command.sh", "next-command.sh"].map((name) => fs.readFileSync(path.join(folder, name), "utf8"));
    const found = stages.map((text) => /STAGE=(\\d)[^]*lab '(.*)'/.exec(text).slice(1).join(" "));
    guest.send("ready 1");
    guest.stdout([...found, /LAB_NEXT='(.*)'/.exec(plan)[1], fs.statSync(path.join(folder, "next-kernel")).size].join("; "));
    guest.endStreams(); guest.send("exit 0");`);
  expect((await run(host)).output).toBe(`1 first; 2 second; yes; ${KERNEL_IMAGE.length}`);
});

test("a first command that fails is the end: no jump", async () => {
  using host = await makeLab(`guest.send("ready 1"); guest.endStreams(); guest.send("exit 3");`);
  expect(await run(host)).toMatchObject({ exitCode: 3, jumped: false, told: [] });
});

test("a next kernel that does not boot is named, with what it said", async () => {
  using host = await makeLab(`
    guest.send("ready 1"); guest.send("jump");
    guest.console("Kernel panic - not syncing\\n"); setTimeout(() => process.abort(), 200);`);
  await expect(run(host)).rejects.toEqual(
    failsWith("ERR_LAB_BOOT", /jump into the next kernel failed:[^]*Kernel panic/),
  );
  await expect(run(host)).rejects.toMatchObject({ subject: join(host.folder, "next") });
});

test("the next kernel has the time to boot that the first one had", async () => {
  using host = await makeLab(`guest.send("ready 1"); guest.send("jump"); setInterval(() => guest.send("alive"), 50);`);
  await expect(run(host, { bootTimeoutMs: 3000 })).rejects.toEqual(
    failsWith("ERR_LAB_BOOT", /jump into the next kernel failed: no sign of life within 3 s/),
  );
});

test("a kernel that cannot jump says why", async () => {
  using host = await makeLab(`
    guest.send("ready 1"); guest.send("jump"); guest.send("failed kexec_file_load failed: ENOSYS");`);
  await expect(run(host)).rejects.toEqual(
    failsWith("ERR_LAB_BOOT", /jump into the next kernel failed: kexec_file_load failed: ENOSYS/),
  );
});

test("the time limit is each stage's own", async () => {
  using host = await makeLab(`
    guest.send("ready 1"); setTimeout(() => guest.send("jump"), 300);
    setTimeout(() => guest.send("ready 1"), 400); setTimeout(() => { guest.endStreams(); guest.send("exit 0"); }, 700);`);
  expect(await run(host, { timeoutMs: 500 })).toMatchObject({ exitCode: 0, ended: "exit" });
});

test("an image that is none is refused before anything starts", async () => {
  using host = await makeLab("");
  const next = { command: ["second"], kernel: "/etc/passwd" };
  await expect(run(host, { next })).rejects.toEqual(failsWith("ERR_LAB_NO_IMAGE", /not a Linux kernel image/));
});
