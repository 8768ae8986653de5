import type { ChildProcess, StdioOptions } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Iommu } from "@vfio-selftests/core";
import { ListeningSocket, VfioUserMode } from "@vfio-selftests/vfio-user";
import { findModelModule } from "./find-model-module";
import { readRegister, REGISTER, writeOwnModel } from "./testing/own-model";

const PROGRAM = join(__dirname, "../../dist/main.js");

let directory = "";
let child: ChildProcess | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "serve-model-"));
  writeOwnModel(directory);
});
afterEach(() => {
  child?.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

/** Starts `model serve` and waits for its first line. */
async function serve(args: readonly string[], extra: readonly number[] = []): Promise<ChildProcess> {
  const stdio: StdioOptions = ["ignore", "pipe", "inherit", ...extra];
  child = spawn(process.execPath, [PROGRAM, "model", "serve", ...args], { cwd: directory, stdio });
  await once(child.stdout ?? child, "data");
  return child;
}

async function endOf(process: ChildProcess, signal: NodeJS.Signals): Promise<{ code: number; milliseconds: number }> {
  const start = performance.now();
  const ended = once(process, "exit");
  process.kill(signal);
  const [code] = (await ended) as [number];
  return { code, milliseconds: performance.now() - start };
}

test.each(["--socket", "--socket-path"])(
  "a model of one's own is served with %s until SIGTERM",
  async (option) => {
    const path = join(directory, "own.sock");
    const server = await serve(["./own.mjs", option, path, "--trust"]);
    for (let client = 0; client < 2; client += 1)
      expect(readRegister(new VfioUserMode(), `vfio-user:${path}`)).toBe(0x42);
    const { code, milliseconds } = await endOf(server, "SIGTERM");
    expect(code).toBe(0);
    expect(milliseconds).toBeLessThan(2000);
    expect(existsSync(path)).toBe(false);
  },
  30_000,
);

test("a signal ends a model that hangs while it loads, and removes its socket file", async () => {
  writeFileSync(join(directory, "hangs.cjs"), `console.log("loading"); for (;;);`);
  const path = join(directory, "hangs.sock");
  const args = [PROGRAM, "model", "serve", "./hangs.cjs", "--socket", path];
  child = spawn(process.execPath, args, { cwd: directory, stdio: "ignore" });
  for (let i = 0; i < 500 && !existsSync(path); i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { code, milliseconds } = await endOf(child, "SIGTERM");
  expect({ code, file: existsSync(path) }).toEqual({ code: 0, file: false });
  expect(milliseconds).toBeLessThan(3000);
}, 30_000);

test("a client that reads nothing does not delay the end", async () => {
  const path = join(directory, "unread.sock");
  const server = await serve(["./own.mjs", "--socket-path", path]);
  const client = connect(path);
  const request = Buffer.alloc(32); // VFIO_USER_REGION_READ of the whole region 0
  request.set([0, 0, 9, 0, 32]);
  request.writeUInt32LE(4096, 28);
  // VFIO_USER_VERSION 0.0 without capabilities.
  client.write(Buffer.from("0000010014000000000000000000000000000000", "hex"));
  client.pause().write(Buffer.concat(Array<Buffer>(1000).fill(request)));
  await new Promise((done) => setTimeout(done, 300));
  const { milliseconds } = await endOf(server, "SIGTERM");
  client.destroy();
  expect(milliseconds).toBeLessThan(2000);
  expect(existsSync(path)).toBe(false);
}, 30_000);

test("an inherited socket is served, and stays in place", async () => {
  const path = join(directory, "inherited.sock");
  using socket = new ListeningSocket(path);
  const server = await serve(["./own.mjs", "--fd", "3"], [socket.fd]);
  expect(readRegister(new VfioUserMode(), `vfio-user:${path}`)).toBe(0x42);
  expect(await endOf(server, "SIGINT")).toMatchObject({ code: 0 });
  expect(existsSync(path)).toBe(true);
}, 30_000);

test("a model is a path, or a package installed where the command runs", () => {
  const find = (name: string) => findModelModule(name, directory, ["ioat"]);
  expect(find("./own.mjs")).toBe(join(directory, "own.mjs"));
  expect(find("own.mjs")).toBe(join(directory, "own.mjs"));
  expect(findModelModule("@vfio-selftests/device-models", __dirname, [])).toMatch(/device-models/);
  expect(() => find("no-such-package")).toThrow(/"no-such-package"; allowed: ioat, the path of a module/);
});

/** After each access it tries to see the memory at IOVA 0. Its register tells what came of that: 1 no, 2 yes. */
const SEEING_MODEL = `
  let host, seen = 0;
  const region = { size: 4096, read: () => seen, write() {} };
  export const createModel = () => ({
    name: "seeing", regions: new Map([[0, region]]), irqs: new Map(),
    attach(to) { host = to; }, reset() {},
    step() { seen = host.dma.view(0n, 8, "write") === undefined ? 1 : 2; return false; },
  });`;

test.each([
  { options: [], seen: 1 },
  { options: ["--trust"], seen: 2 },
])(
  "memory that its client could truncate is mapped with --trust alone: $options",
  async ({ options, seen }) => {
    writeFileSync(join(directory, "seeing.mjs"), SEEING_MODEL);
    const path = join(directory, "seeing.sock");
    await serve(["./seeing.mjs", "--socket", path, ...options]);
    using iommu = new Iommu(new VfioUserMode().open());
    const device = iommu.openDevice(`vfio-user:${path}`);
    const fd = openSync(join(directory, "memory"), "w+");
    ftruncateSync(fd, 4096);
    iommu.map({ address: 0n, length: 4096, file: { fd, offset: 0 }, closed: false }, { iova: 0n });
    closeSync(fd);
    const into = new Uint8Array(1);
    for (let access = 0; access < 2; access += 1) device.readRegion(0, REGISTER, into);
    expect(into[0]).toBe(seen);
  },
  30_000,
);
