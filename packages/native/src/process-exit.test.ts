import { addonFile, type Exit, prelude, runNode } from "./testing/node-process";

const waits = `
  const fd = native.eventfd(0, 0);
  const poller = native.createPoller(fd);
`;
const everything = `
  ${waits}
  const memory = native.mapMemory({ fd: -1, length: 4096, flags: 0x22 });
  const io = native.mapIo({ fd: -1, length: 4096, flags: 0x21 });
  const sockets = native.socketpair();
  native.ioctl(sockets[0], 0x541b, new Uint8Array(4));
`;
const clean = { status: 0, signal: null, stderr: "" };

const run = (code: string, flags: string[] = []): Exit => runNode(prelude + code, flags);

/** An expression that starts a worker, which runs `code`. */
const worker = (code: string): string =>
  `new (require("worker_threads").Worker)(${JSON.stringify(
    `${prelude} const { parentPort } = require("worker_threads"); ${code}`,
  )}, { eval: true })`;

describe("a process", () => {
  it("exits with everything open and nothing awaited", () => {
    expect(run(everything)).toMatchObject(clean);
  });

  it("exits by process.exit with everything open and a wait under way", () => {
    const exit = run(`${everything} poller.start(1, 60000, true, () => {}); process.exit(3);`);
    expect(exit).toMatchObject({ ...clean, status: 3 });
  });

  it("is not kept alive by a wait without ref", () => {
    const exit = run(`${waits} poller.start(1, 60000, false, (result) => console.log("called", result));`);
    expect(exit).toMatchObject({ ...clean, stdout: "" });
  });

  it("is kept alive by a wait with ref until its time-out", () => {
    const exit = run(`${waits} poller.start(1, 100, true, (result) => console.log("called", result));`);
    expect(exit).toMatchObject({ ...clean, stdout: "called 0\n" });
  });

  it("is kept alive by a wait with ref whose poller nobody can reach", () => {
    const code = `
      native.createPoller(native.eventfd(0, 0)).start(1, 200, true, (result) => console.log("called", result));
      setTimeout(gc, 20); setTimeout(gc, 50);`;
    expect(run(code, ["--expose-gc"])).toMatchObject({ ...clean, stdout: "called 0\n" });
  });

  it("closes the descriptor of a poller that is garbage", () => {
    const code = `
      const open = () => require("fs").readdirSync("/proc/self/fd").length;
      const fd = native.eventfd(0, 0);
      const before = open();
      (() => { for (let i = 0; i < 50; i++) native.createPoller(fd); })();
      (async () => {
        for (let i = 0; i < 5; i++) { gc(); await new Promise((r) => setTimeout(r, 10)); }
        console.log(open() - before);
      })();`;
    expect(run(code, ["--expose-gc"])).toMatchObject({ ...clean, stdout: "0\n" });
  });

  it("runs promise continuations right after the callback", () => {
    const code = `
      ${waits}
      new Promise((resolve) => poller.start(1, 10, true, resolve)).then((result) => console.log("resolved", result));`;
    expect(run(code)).toMatchObject({ ...clean, stdout: "resolved 0\n" });
  });

  it("sees what a callback throws as an uncaught exception", () => {
    const code = `
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      ${waits}
      poller.start(1, 0, true, () => { throw new Error("from the callback"); });`;
    expect(run(code)).toMatchObject({ ...clean, stdout: "uncaught from the callback\n" });
  });

  it("still dies of bus errors that are not ours", () => {
    const noCore = "native.setResourceLimit(4, 0, 0);";
    const sent = run(`${noCore} ${everything} process.kill(process.pid, "SIGBUS"); setTimeout(() => {}, 5000);`);
    expect(sent.signal).toBe("SIGBUS");
    // Code in a file that shrinks under it.
    const faulted = run(`${noCore} ${everything}
      const { copyFileSync, mkdtempSync, rmSync, truncateSync } = require("fs");
      const directory = mkdtempSync(require("os").tmpdir() + "/native-");
      copyFileSync(${JSON.stringify(addonFile)}, directory + "/copy.node");
      const copy = { exports: {} };
      process.dlopen(copy, directory + "/copy.node");
      copy.exports.gettid();
      truncateSync(directory + "/copy.node", 0);
      rmSync(directory, { recursive: true });
      console.log(copy.exports.gettid());`);
    expect(faulted).toMatchObject({ signal: "SIGBUS", stdout: "" });
  });
});

describe("a worker", () => {
  const noise = `
    ${everything}
    const round = () => {
      native.mapMemory({ fd: -1, length: 4096, flags: 0x22 });
      native.mapIo({ fd: -1, length: 4096, flags: 0x21 }).read32(0);
      try { native.open(5); } catch {}
      poller.start(1, 1, true, round);
    };
    round();`;

  it("ends with everything open and nothing awaited", () => {
    const code = `${worker(everything)}.on("exit", (status) => console.log("ended", status));`;
    expect(run(code)).toMatchObject({ ...clean, stdout: "ended 0\n" });
  });

  it("can be terminated during a wait", () => {
    const inside = `${everything} poller.start(1, 60000, true, () => {}); parentPort.postMessage("waits");`;
    const code = `
      const waiting = ${worker(inside)};
      waiting.once("message", async () => { await waiting.terminate(); console.log("terminated"); });`;
    expect(run(code)).toMatchObject({ ...clean, stdout: "terminated\n" });
  });

  it("can be terminated at any moment, many times, while others go on", () => {
    const code = `
      ${noise}
      (async () => {
        for (let i = 0; i < 30; i++) {
          const short = ${worker(noise)};
          await new Promise((resolve) => short.once("online", resolve));
          await new Promise((resolve) => setTimeout(resolve, i));
          await short.terminate();
        }
        console.log("done");
        process.exit(0);
      })();`;
    expect(run(code)).toMatchObject({ ...clean, stdout: "done\n" });
  }, 40_000);

  it("leaves zeros to another thread that was given its memory", () => {
    const inside = `
      const { buffer } = native.mapMemory({ fd: -1, length: 4096, flags: 0x22 });
      new Uint8Array(buffer)[0] = 7;
      // Only Node 22 and later can move the memory.
      const moved = buffer.transfer ? buffer.transfer() : new Uint8Array([7]).buffer;
      parentPort.postMessage(moved, [moved]);`;
    const code = `
      const giver = ${worker(inside)};
      let bytes;
      giver.on("message", (moved) => { bytes = new Uint8Array(moved); });
      giver.on("exit", () => setTimeout(() => {
        const isZero = bytes[0] === (bytes.buffer.transfer ? 0 : 7);
        console.log(isZero, bytes.fill(5)[0]);
      }, 20));`;
    expect(run(code)).toMatchObject({ ...clean, stdout: "true 5\n" });
  });

  it("may be the only thread that loads the addon, and another may come after it", () => {
    const inside = `
      const fd = native.memfdCreate("alone", 0);
      native.ftruncate(fd, 4096);
      const io = native.mapIo({ fd, length: 4096, flags: 1 });
      native.ftruncate(fd, 0);
      native.interruptThread(native.gettid());
      parentPort.postMessage(io.read32(0));`;
    const code = `
      const one = () => new Promise((resolve) => {
        const alone = ${worker(inside)};
        let result;
        alone.on("message", (message) => { result = message; });
        alone.on("exit", () => resolve(result));
      });
      (async () => console.log(await one(), await one()))();`;
    expect(runNode(code)).toMatchObject({ ...clean, stdout: "-14 -14\n" });
  });
});
