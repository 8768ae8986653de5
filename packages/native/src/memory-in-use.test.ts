import { native } from "./index";
import * as linux from "./testing/linux";
import { itWithoutSanitizers, prelude, runNode } from "./testing/node-process";

/** Requests of Node that work on `bytes` in other threads and give a promise. */
const requests: Record<string, string> = {
  "crypto.randomFill": `promisify(require("crypto").randomFill)(bytes)`,
  "zlib.deflate, from it": `promisify(require("zlib").deflate)(bytes)`,
  "zlib.deflate, paused by its reader": `new Promise((resolve) => {
    const stream = require("zlib").createDeflate({ level: 0 });
    stream.end(bytes);
    setTimeout(() => stream.on("end", resolve).resume(), 50);
  })`,
  "fs.read, into it": `promisify(require("fs").read)(require("fs").openSync("/dev/zero", "r"), bytes)`,
  "crypto.subtle.digest": `crypto.subtle.digest("SHA-256", bytes)`,
};

const backings: Record<string, string> = {
  private: `{ fd: -1, flags: ${linux.MAP_PRIVATE | linux.MAP_ANONYMOUS}, length }`,
  shared: `{ fd: -1, flags: ${linux.MAP_SHARED | linux.MAP_ANONYMOUS}, length }`,
  memfd: `{ fd: file(), flags: ${linux.MAP_SHARED}, length }`,
  "2 MiB pages": `{ fd: -1, flags: ${linux.MAP_PRIVATE | linux.MAP_ANONYMOUS | linux.MAP_HUGETLB}, length }`,
};

const setting = `
  const { promisify } = require("util");
  const length = 32 * 2 ** 20;
  const file = () => {
    const fd = native.memfdCreate("in-use", 0);
    native.ftruncate(fd, length);
    return fd;
  };
  const status = (name) => Number(require("fs").readFileSync("/proc/self/status", "latin1").match(name + ":\\\\s+(\\\\d+)")[1]) * 1024;
  const isMapped = (address) =>
    require("fs").readFileSync("/proc/self/maps", "latin1").trim().split("\\n").some((line) => {
      const [begin, end] = line.split(" ")[0].split("-").map((text) => BigInt("0x" + text));
      return address >= begin && address < end;
    });
  const settle = async () => { for (let i = 0; i < 10; i++) { gc(); await new Promise((r) => setTimeout(r, 5)); } };
`;

function run(code: string, flags: string[] = ["--expose-gc"]): unknown {
  const exit = runNode(`${prelude} ${setting} (async () => { ${code} })();`, flags);
  expect(exit).toMatchObject({ status: 0, signal: null, stderr: "" });
  return JSON.parse(exit.stdout);
}

describe("memory that is unmapped while another thread works on it", () => {
  const cases = Object.keys(requests).flatMap((request) => Object.keys(backings).map((backing) => [request, backing]));
  it.each(cases)("%s, %s memory: the work ends, the process lives", (request, backing) => {
    const result = run(`
      const memory = native.mapMemory(${backings[backing]});
      if (typeof memory === "number") return console.log(JSON.stringify([memory, "no such pages here"]));
      const bytes = new Uint8Array(memory.buffer);
      const request = ${requests[request]};
      const later = new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(memory.unmap()))));
      await request.catch(() => {});
      console.log(JSON.stringify([await later, "done"]));`);
    expect([
      [0, "done"],
      [-12, "no such pages here"],
    ]).toContainEqual(result);
  });

  it("keeps its buffer however much is unmapped before the event loop turns: a paused zlib goes on with it", () => {
    const result = run(`
      const memory = native.mapMemory({ fd: -1, flags: 0x22, length: 2 ** 20 });
      const stream = require("zlib").createDeflate({ level: 0 });
      stream.end(new Uint8Array(memory.buffer));
      const unmapped = new Set();
      let bytes = 0;
      stream.once("data", () => {
        for (let i = 0; i < 3000; i++) unmapped.add(native.mapMemory({ fd: -1, flags: 0x22, length: 4096 }).unmap());
        unmapped.add(memory.unmap());
      });
      stream.on("data", (part) => (bytes += part.length));
      await new Promise((resolve) => stream.on("end", resolve));
      console.log(JSON.stringify([[...unmapped], bytes > 2 ** 20, memory.buffer.byteLength]));`);
    expect(result).toEqual([[0], true, 2 ** 20]);
  });

  it("is given back at once, and the addresses when nobody holds the buffer", () => {
    const [taken, left, dirty, addresses] = run(`
      const page = ${native.pageSize()};
      const rssBefore = status("VmRSS");
      let memory = native.mapMemory({ fd: -1, flags: 0x22, length });
      let bytes = new Uint8Array(memory.buffer).fill(1);
      const taken = status("VmRSS") - rssBefore;
      memory.unmap();
      const left = status("VmRSS") - rssBefore;
      const dirty = bytes.some((byte) => byte !== 0);
      const { address } = memory;
      const reserved = isMapped(address);
      memory = bytes = undefined;
      await settle();
      console.log(JSON.stringify([taken, left, dirty, [reserved, isMapped(address)]]));`) as [
      number,
      number,
      boolean,
      [boolean, boolean],
    ];
    expect(taken).toBeGreaterThan(30 * 2 ** 20);
    expect(left).toBeLessThan(8 * 2 ** 20);
    expect(dirty).toBe(false);
    expect(addresses).toEqual([true, false]);
  });

  it("is safe also where the argument of a bound ioctl is", () => {
    const result = run(`
      const bound = native.bindIoctl(0, 0x541b, 4096);
      const bytes = new Uint8Array(bound.argument);
      const requests = Array.from({ length: 64 }, () => promisify(require("crypto").randomFill)(bytes));
      const closed = bound.close();
      await Promise.all(requests);
      console.log(JSON.stringify([closed, bound.call(), bound.close()]));`);
    expect(result).toEqual([0, -linux.EBADF, -linux.EBADF]);
  });

  it("piles up no addresses in a loop that never turns", () => {
    const result = run(`
      const one = { fd: -1, flags: 0x22, length: 2 ** 21, alignment: 2 ** 21 };
      for (let i = 0; i < 70000; i++) {
        const memory = native.mapMemory(one);
        if (typeof memory === "number") return console.log(JSON.stringify([i, memory]));
        new Uint8Array(memory.buffer)[0] = 1;
        memory.unmap();
      }
      console.log(JSON.stringify("all"));`);
    expect(result).toBe("all");
  }, 60_000);
});

describe("a file", () => {
  it("that is shorter than the range asked for is refused", () => {
    const page = native.pageSize();
    const fd = native.memfdCreate("short", 0);
    native.ftruncate(fd, page + 1);
    const map = (length: number, offset = 0): unknown => {
      const memory = native.mapMemory({ fd, length, offset: BigInt(offset), flags: linux.MAP_SHARED });
      return typeof memory === "number" ? memory : memory.unmap();
    };
    expect([map(2 * page), map(3 * page), map(page, page), map(page, 2 * page)]).toEqual([0, -6, 0, -6]);
    native.ftruncate(fd, 0);
    expect(map(page)).toBe(-6);
    native.close(fd);
  });

  it("that shrinks later leaves zeros, also for optimised code and other threads", () => {
    const result = run(`
      const fd = file();
      const memory = native.mapMemory({ fd, flags: 1, length });
      const bytes = new Uint8Array(memory.buffer).fill(7);
      const sum = () => { let total = 0; for (let i = 0; i < bytes.length; i += 64) total += bytes[i]; return total; };
      for (let i = 0; i < 10; i++) sum();
      native.ftruncate(fd, 4096);
      const after = sum();
      const packed = await promisify(require("zlib").deflate)(bytes);
      bytes[length - 1] = 9;
      const read = native.pread(fd, bytes.subarray(0, 4096), 0);
      console.log(JSON.stringify([after, packed.length < 2 ** 16, bytes[0], bytes[4096], bytes[length - 1], read, memory.unmap()]));`);
    expect(result).toEqual([7 * 64, true, 7, 0, 9, 4096, 0]);
  });
});

describe("huge pages without a reservation", () => {
  it("are memory of zeros where the pool has none", () => {
    const result = run(`
      const flags = ${linux.MAP_PRIVATE | linux.MAP_ANONYMOUS | linux.MAP_HUGETLB | linux.MAP_NORESERVE};
      const memory = native.mapMemory({ fd: -1, flags, length });
      if (typeof memory === "number") return console.log(JSON.stringify("no such pages here"));
      const bytes = new Uint8Array(memory.buffer);
      const touched = [];
      for (let at = 5; at < length; at += 2 ** 21) touched.push(bytes[at], bytes[at - 1] = 7);
      console.log(JSON.stringify([...new Set(touched), memory.unmap()]));`);
    expect([[0, 7, 0], "no such pages here"]).toContainEqual(result);
  });
});

describe("a worker that ends", () => {
  itWithoutSanitizers(
    "leaves none of its memory resident, however it ends",
    () => {
      const inside = (end: string): string => `
      const kept = [0, 1, 2].map(() => native.mapMemory({ fd: -1, flags: 0x22, length: 16 * 2 ** 20 }));
      for (const { buffer } of kept) new Uint8Array(buffer).fill(1);
      const retired = kept.pop();
      retired.unmap();
      new Uint8Array(retired.buffer).fill(1);
      native.bindIoctl(0, 0x541b, 8);
      (() => new Uint8Array(native.mapMemory({ fd: -1, flags: 0x22, length: 16 * 2 ** 20 }).buffer).fill(1))();
      ${end}`;
      const ends = [
        "",
        "process.exit(0);",
        `require("worker_threads").parentPort.postMessage(1); setInterval(() => {}, 1000);`,
        `require("worker_threads").parentPort.postMessage(1); require("crypto").randomFill(new Uint8Array(kept[0].buffer), () => {});`,
      ];
      const resident = run(`
      const { Worker } = require("worker_threads");
      const one = (code) => new Promise((resolve) => {
        const worker = new Worker(${JSON.stringify(prelude)} + code, { eval: true });
        worker.on("message", () => worker.terminate());
        worker.on("exit", resolve);
      });
      await one("");
      const before = status("VmRSS");
      for (const code of ${JSON.stringify(ends.map(inside))}) await one(code);
      await settle();
      console.log(JSON.stringify(status("VmRSS") - before));`);
      // Four times 64 MiB. malloc keeps the rest.
      expect(resident).toBeLessThan(30 * 2 ** 20);
    },
    30_000,
  );
});
