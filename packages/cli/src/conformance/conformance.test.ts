import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = join(__dirname, "../../dist/main.js");

/** Each test starts a process or several. */
jest.setTimeout(180_000);

let directory = "";
let socket = "";
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "conformance-"));
  socket = join(directory, "model.sock");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

async function conformance(...args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, "conformance", ...args], { cwd: directory });
  children.push(child);
  const [out, errors]: [string[], string[]] = [[], []];
  child.stdout.on("data", (text: Buffer) => out.push(String(text)));
  child.stderr.on("data", (text: Buffer) => errors.push(String(text)));
  const [code] = (await once(child, "close")) as [number];
  return { code, out: out.join(""), errors: errors.join("") };
}

async function serveModel(): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, "model", "serve", "dsa", "--socket", socket]);
  children.push(child);
  await once(child.stdout, "data");
}

test("our own server passes in every report, in 80 columns for people", async () => {
  await serveModel();
  const plain = await conformance("--server", socket, "-t", "^(header|version|dma_unmap|device_reset)\\.");
  expect(plain).toMatchObject({ code: 0 });
  expect(plain.out).toMatch(/^ {2}pass {2}dma_unmap\.all_references_are_released_before_the_reply$/m);
  expect(plain.out).toMatch(/^\d+ passed, 0 failed, 0 skipped$/m);
  expect(plain.out.split("\n").every((line) => line.length <= 80 || line.includes(directory))).toBe(true);

  const json = await conformance("--server", socket, "-t", "^header", "--reporter", "json");
  const { tests } = JSON.parse(json.out) as { tests: { id: string; status: string }[] };
  expect(tests).toContainEqual(expect.objectContaining({ id: "header.unknown_command_is_an_error", status: "passed" }));
  const ktap = await conformance("--server", socket, "-t", "^header", "--reporter", "ktap");
  expect(ktap.out).toMatch(/^KTAP version 1[^]*ok 1 \S*header\.reply_has_the_id_of_its_command[^]*fail:0/);
  const junit = await conformance("--server", socket, "-t", "^header", "--reporter", "junit");
  expect(junit.out).toMatch(/<testcase [^>]*reply_has_the_id_of_its_command/);
});

/** A server that answers VERSION, and is ended by a signal at a reset. */
const CRASHING = `
  const { createServer } = require("node:net");
  createServer((client) => client.on("data", (data) => {
    if (data.readUInt16LE(2) === 13) process.kill(process.pid, "SIGABRT");
    const body = data.readUInt16LE(2) === 1 ? Buffer.alloc(4) : Buffer.alloc(16);
    if (data.readUInt16LE(2) === 4) body.writeUInt32LE(16, 0), body.writeUInt32LE(3, 4);
    const header = Buffer.from(data.subarray(0, 16));
    header.writeUInt32LE(16 + body.length, 4), header.writeUInt32LE(1, 8);
    client.write(Buffer.concat([header, body]));
  }).on("error", () => undefined)).listen(process.argv[2]);`;

test("a server that crashes fails the check, and is started again for the next", async () => {
  const file = join(directory, "crashing.cjs");
  writeFileSync(file, CRASHING);
  const command = ["--", process.execPath, file, "{socket}"];
  const checks = "^(device_reset.reply|header.reply_has_the)";
  const { code, out } = await conformance("--server", socket, "-t", checks, ...command);
  expect(code).toBe(1);
  expect(out).toMatch(/pass {2}header\.reply_has_the_id_of_its_command/);
  expect(out).toMatch(/FAIL {2}device_reset\.reply_has_no_payload\n.*\n {6}came {6}the server was ended by SIGABRT/);
});

/** A client that greets, asks for the device, and ends; with `crash`, by a signal after a strange reply. */
const CLIENT = `
  const socket = require("node:net").connect(process.argv[2]);
  const message = (command, body) => {
    const header = Buffer.alloc(16);
    header.writeUInt16LE(command, 2), header.writeUInt32LE(16 + body.length, 4);
    socket.write(Buffer.concat([header, body]));
  };
  message(1, Buffer.alloc(4));
  let replies = 0;
  socket.on("data", (data) => {
    if (data.length < 16 || data.readUInt16LE(2) > 18) process.kill(process.pid, "SIGSEGV");
    replies += 1;
    const info = Buffer.alloc(16);
    info.writeUInt32LE(8, 0);
    if (replies === 1) message(4, info);
    else socket.end();
  }).on("close", () => process.exit(0)).on("error", () => process.exit(0));`;

test("a client is judged by what it says, and by what it survives", async () => {
  const file = join(directory, "client.cjs");
  writeFileSync(file, CLIENT);
  const checks = "^(version.comes|device_info.argsz|survives.(noise|an_error))";
  const { code, out } = await conformance("--client", "-t", checks, "--", process.execPath, file, "{socket}");
  expect(code).toBe(1);
  expect(out).toMatch(/pass {2}version\.comes_first/);
  expect(out).toMatch(
    /FAIL {2}device_info\.argsz_has_room_for_the_reply\n {6}expected {2}an argsz of at least 16[^]*came {6}8/,
  );
  expect(out).toMatch(/pass {2}survives\.an_error/);
  expect(out).toMatch(/FAIL {2}survives\.noise\n[^]*SIGSEGV/);
});

test("a client that never comes is no pass", async () => {
  const { code, out } = await conformance("--client", "-t", "^version", "--timeout", "1", "--", "true");
  expect(code).toBe(4);
  expect(out).toMatch(/0 passed, 0 failed, [1-9]\d* skipped/);
});

test.each([
  [[], 2, /one of --server SOCKET and --client/],
  [["--server", "/x", "--client"], 2, /one of --server SOCKET and --client/],
  [["--server", "/nonexistent.sock"], 1, /ENOENT[^]*start the server there/],
  [["--server", "/x", "-t", "nothing_has_this_name"], 2, /--list/],
  [["--client", "--model", "nonsense", "--timeout", "1"], 2, /ioat, dsa/],
  [["--server", "/x", "--model", "dsa"], 2, /"--model"; allowed: with --client only/],
  [["--server", "/x", "--socket-path", "/y"], 2, /"--socket-path"; allowed: with --client only/],
  [["--server", "/x", "--timeout", "5"], 2, /"--timeout"; allowed: with --client only/],
  [["--server", "/x", "--output", "/nonexistent/report"], 1, /cannot write the report/],
])("%j is refused", async (args, code, message) => {
  const result = await conformance(...args);
  expect(result.code).toBe(code);
  expect(result.errors).toMatch(message);
});

test("--list names every check and its section", async () => {
  const { out, code } = await conformance("--server", "/x", "--list");
  expect(code).toBe(0);
  expect(out).toContain("dma_map.an_overlap_is_eexist  (VFIO_USER_DMA_MAP)\n");
});
