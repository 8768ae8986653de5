import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = join(__dirname, "../../dist/main.js");

/** Each test starts a process or two. */
jest.setTimeout(120_000);

let directory = "";
const children: ChildProcess[] = [];

beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "repl-"))));
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

/** Starts `repl` on a pipe. */
function start(args: readonly string[]): ChildProcess {
  const env = { ...process.env, XDG_STATE_HOME: directory };
  const child = spawn(process.execPath, [PROGRAM, "repl", ...args], { cwd: directory, env });
  children.push(child);
  return child;
}

/** Gives the lines to `repl`, and ends its input. */
async function type(args: readonly string[], ...lines: readonly string[]) {
  const child = start(args);
  const output: string[] = [];
  const errors: string[] = [];
  child.stdout?.on("data", (text: Buffer) => output.push(String(text)));
  child.stderr?.on("data", (text: Buffer) => errors.push(String(text)));
  child.stdin?.end(lines.map((line) => `${line}\n`).join(""));
  const [code] = (await once(child, "close")) as [number];
  return { code, lines: output.join("").trimEnd().split("\n"), errors: errors.join("") };
}

test("a pipe gets what each line gives, and nothing else", async () => {
  const { code, lines } = await type(
    ["model:ioat"],
    "regs.CBVER",
    "const memory = dma(100)",
    "memory.bytes.length",
    "bars[0].read8(8) === regs.CBVER",
    "config.vendorId",
    "await new Promise((resolve) => setTimeout(() => resolve('done'), 50))",
    "[1,",
    "2].length",
  );
  expect(lines).toEqual(["51 (0x33)", "4096 (0x1000)", "true", "32902 (0x8086)", "'done'", "2"]);
  expect(code).toBe(0);
});

test("a register that does not exist is neither read nor written", async () => {
  const { code, lines } = await type(["model:ioat"], "regs.CBVERR", "regs.CHANCTL = 1", "regs", "regs.CBVER");
  expect(lines[0]).toMatch(/register is "CBVERR"; allowed: .*CBVER, /);
  expect(lines[1]).toContain('register is "CHANCTL"');
  expect(lines[2]).toMatch(/^XFERCAP +BAR 0, /);
  expect(lines.at(-1)).toBe("51 (0x33)");
  expect(code).toBe(1);
});

test("a device copies by named registers, and its interrupt arrives", async () => {
  const { code, lines } = await type(
    ["model:ioat"],
    "const ring = dma(4096), from = dma(4096), to = dma(4096);",
    "from.bytes.fill(0x5a), 0",
    // A descriptor that copies 4096 bytes, with an interrupt; its successor is itself.
    "const words = new DataView(ring.bytes.buffer);",
    "words.setUint32(0, 4096, true), words.setUint32(4, 1, true), 0",
    "words.setBigUint64(8, from.iova, true), words.setBigUint64(16, to.iova, true), 0",
    "words.setBigUint64(24, ring.iova, true), 0",
    "config.write16(4, 6), 0",
    "interrupts.msix.enable(0, 1), 0",
    "bars[0].write8(3, 8), regs.CHANCTRL = 1",
    "regs.CHAINADDR = ring.iova, regs.DMACOUNT = 1",
    "await interrupts.msix.vector(0).wait()",
    "to.bytes.every((byte) => byte === 0x5a)",
    "regs.CHANSTS & 7n",
  );
  expect(lines.slice(-3)).toEqual(["1n (0x1)", "true", "1n (0x1)"]);
  expect(code).toBe(0);
});

test.each([
  ["device.bar(3)", /Uncaught ERR_NOT_SUPPORTED: model:ioat has no BAR 3; implemented: 0/],
  ["bars[0].read32(2)", /Uncaught ERR_\w+|Uncaught EINVAL/],
  ["nonsense", /Uncaught ReferenceError: nonsense is not defined/],
  ["await Promise.reject(new Error('late'))", /Uncaught Error: late/],
])("%s is an error, the next line works, and the exit code says so", async (line, message) => {
  const { code, lines } = await type(["model:ioat"], line, "40 + 2");
  expect(lines.join("\n")).toMatch(message);
  expect(lines.at(-1)).toBe("42 (0x2a)");
  expect(code).toBe(1);
});

test(".regs reads every named register; .help names what is there", async () => {
  const { lines } = await type(["model:dsa"], ".regs", ".help");
  expect(lines).toContainEqual(expect.stringMatching(/^VERSION +BAR 0, 0x0000, 32 bits +256 \(0x100\)$/));
  for (const name of ["device", "regs", "dma", "interrupts", "reopen", ".regs"]) {
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^${name.replace(".", "\\.")} `)));
  }
  expect(lines.every((line) => line.length <= 80)).toBe(true);
});

test("a driver that knows its devices by a look at them names their registers, too", async () => {
  const { lines } = await type(["model:nv-falcon"], "regs.PMC_BOOT_0", "regs.GSP_DMATRFCMD");
  expect(lines).toContainEqual(expect.stringContaining("0x164000a1"));
  const other = await type(["model:ioat"], "regs.PMC_BOOT_0");
  expect(other.code).toBe(1);
});

test("where no register has a name, regs says so, and what would give it one", async () => {
  const { lines } = await type(["model:capabilities"], "regs", "regs.ANY", ".regs");
  expect(lines).toHaveLength(3);
  for (const line of lines) expect(line).toContain("no driver that is installed names registers of this device");
  for (const line of lines) expect(line).toContain("install its driver's package, or give --driver");
});

test("a device that goes away is told, keeps what was there, and can be opened again", async () => {
  const socket = join(directory, "model.sock");
  const serve = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [PROGRAM, "model", "serve", "ioat", "--socket", socket]);
    children.push(child);
    await once(child.stdout, "data");
    return child;
  };
  const server = await serve();
  const repl = start([`vfio-user:${socket}`]);
  let told = "";
  repl.stdout?.on("data", (text: Buffer) => (told += String(text)));
  const say = async (line: string, answer: RegExp): Promise<void> => {
    told = "";
    repl.stdin?.write(`${line}\n`);
    while (!answer.test(told)) await once(repl.stdout ?? repl, "data");
  };
  await say("const kept = dma(4096), value = regs.CBVER; value", /51/);
  const gone = once(server, "exit");
  server.kill("SIGKILL");
  await gone;
  await say("regs.CBVER", /Uncaught:\s+E\w+: .*has gone[^]*start the server again/);
  await say("value + kept.bytes.length", /4147/);
  await say("reopen()", /Uncaught:\s+E\w+: connect failed/);
  await serve();
  await say("reopen(); regs.CBVER", /51/);
  await say("iommu.regions.length", /1/);
  const ended = once(repl, "close");
  repl.stdin?.end();
  expect(await ended).toEqual([1, null]);
});

test.each([
  [["model:nonsense"], 2, /allowed: ioat, dsa/],
  [["vfio-user:/nonexistent.sock"], 1, /ENOENT[^]*start the server/],
  [["model:ioat", "--mode", "iommufd"], 2, /not the kernel's/],
  [["ffff:ff:1f.7"], 1, /ffff:ff:1f.7/],
  [["neither"], 2, /VENDOR:DEVICE/],
])("%j is refused before the first line", async (args, code, message) => {
  const result = await type(args, "1");
  expect(result).toMatchObject({ code, lines: [""] });
  expect(result.errors).toMatch(message);
});

test("on a terminal it prompts, completes registers and keeps a history", async () => {
  const { child, type, until } = onTerminal();
  await until(/8086:\w{4}, mode vfio-user[^]*model:ioat> /);
  type("regs.CBV\t");
  await until(/regs\.CBV.*ER/s);
  type("\n");
  await until(/51 \(0x33\)/);
  type(".exit\n");
  await once(child, "exit");
  const file = join(directory, "vfio-selftests", "repl-history");
  expect(existsSync(file)).toBe(true);
  expect(readFileSync(file, "utf8")).toContain("regs.CBVER");
});

test("on a terminal Ctrl-C ends a loop without end, and the device stays open", async () => {
  const { type, until } = onTerminal();
  await until(/model:ioat> /);
  const running = join(directory, "running");
  type(`fs.writeFileSync(${JSON.stringify(running)}, ""); for (;;);\n`);
  while (!existsSync(running)) await new Promise((resolve) => setTimeout(resolve, 50));
  type("\u0003");
  await until(/interrupted/);
  type("regs.CBVER\n");
  await until(/51 \(0x33\)/);
});

/** `repl model:ioat` on a terminal: what is typed, and waiting until the screen shows something. */
function onTerminal() {
  const child = spawn("script", ["-qec", `${process.execPath} ${PROGRAM} repl model:ioat`, "/dev/null"], {
    env: { ...process.env, XDG_STATE_HOME: directory, TERM: "xterm", NO_COLOR: "1" },
  });
  children.push(child);
  let screen = "";
  child.stdout.on("data", (text: Buffer) => (screen += String(text)));
  const until = async (text: RegExp): Promise<void> => {
    while (!text.test(screen)) await once(child.stdout, "data");
  };
  return { child, until, type: (text: string) => child.stdin.write(text) };
}
