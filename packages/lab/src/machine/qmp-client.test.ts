import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { QmpClient } from "./qmp-client";

let folder: string;
let server: Server;
let qemu: Socket;
let client: QmpClient;

interface Command {
  readonly execute: string;
  readonly arguments: unknown;
  readonly id: number;
}

/** QEMU's end: it connects to our socket, greets, and answers as the test says. */
async function start(answer: (command: Command) => object): Promise<Command[]> {
  folder = mkdtempSync(join(tmpdir(), "qmp-"));
  const path = join(folder, "qmp");
  server = createServer().listen(path);
  await once(server, "listening");
  qemu = connect(path);
  const [socket] = (await once(server, "connection")) as [Socket];
  qemu.write('{"QMP": {"version": {}, "capabilities": []}}\n');
  const commands: Command[] = [];
  createInterface({ input: qemu }).on("line", (line) => {
    const command = JSON.parse(line) as Command;
    commands.push(command);
    qemu.write('{"event": "SHUTDOWN", "timestamp": {}}\n');
    qemu.write(`${JSON.stringify({ id: command.id, ...answer(command) })}\n`);
  });
  client = new QmpClient(socket);
  return commands;
}

afterEach(() => {
  qemu.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

test("it leaves the negotiation first, then each command has its own answer", async () => {
  const commands = await start(({ execute }) => ({ return: `did ${execute}` }));
  expect(await Promise.all([client.execute("one", { a: 1 }), client.execute("two", {})])).toEqual([
    "did one",
    "did two",
  ]);
  expect(commands.map((command) => [command.execute, command.arguments])).toEqual([
    ["qmp_capabilities", {}],
    ["one", { a: 1 }],
    ["two", {}],
  ]);
});

test("an error is QEMU's description of it", async () => {
  await start(({ execute }) =>
    execute === "bad" ? { error: { class: "GenericError", desc: "no such device" } } : { return: {} },
  );
  await expect(client.execute("bad", {})).rejects.toThrow("no such device");
  await expect(client.execute("good", {})).resolves.toEqual({});
});

test("QEMU's end rejects what still waits", async () => {
  await start(({ execute }) => {
    if (execute !== "quit") return { return: {} };
    setImmediate(() => qemu.end());
    return { id: -1 };
  });
  await expect(client.execute("quit", {})).rejects.toThrow("QEMU has ended");
});
