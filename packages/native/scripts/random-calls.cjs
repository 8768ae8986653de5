// Calls every function of the addon in random order with random arguments, right and wrong.
//
//   node scripts/random-calls.cjs [CALLS [SEED]]
//
// No call may crash, hang, or leave a descriptor open. The program leaves out what would do harm by its meaning:
// descriptors that Node owns, ioctls that change the machine, calls that wait for ever, signals, and limits of this
// process.
"use strict";
const { readdirSync, readlinkSync, mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { native } = require("../dist/index.js");

const calls = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const CALLS_PER_TURN = 500;
const KEPT = 40;
const POLLER_DESCRIPTORS = 2 * KEPT;

// xorshift32
let state = seed | 1;
function random(below) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}
const one = (list) => list[random(list.length)];
const often = (usual, rare) => (random(8) === 0 ? rare() : usual());

const directory = mkdtempSync(join(tmpdir(), "native-calls-"));
process.chdir(directory); // for paths that are not absolute
const page = native.pageSize();
const kept = { fds: [], memories: [], ios: [], ioctls: [], pollers: [], sockets: [] };
const keep = (kind, made, drop = () => {}) => {
  if (typeof made !== "object" && !(kind === "fds" && made >= 0)) return;
  kept[kind].push(made);
  if (kept[kind].length > KEPT) drop(...kept[kind].splice(random(KEPT), 1));
};
const keepFd = (fd) => keep("fds", fd, native.close);

const strange = [
  undefined, null, NaN, -1, -0, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), Infinity, -Infinity, "", "x", "\0", "é".repeat(99),
  true, 0n, -1n, 2n ** 64n, 2n ** 63n, -(2n ** 63n), 10n ** 40n, Symbol("s"), [], {}, () => {}, new Date(0), /x/, new Map(), new Proxy({}, {}),
]; // prettier-ignore
const wrong = () => one(strange);
const number = (below) => often(() => random(below), wrong);
const fd = () =>
  often(
    () => one(kept.fds) ?? -1,
    () => one([-1, -100, 2 ** 31 - 1, 1 << 20, wrong() || -1]),
  );
const path = () =>
  often(() => one(["/dev/null", "/dev/zero", "/proc/self/maps", directory, join(directory, one("abcdef"))]), wrong);

function buffer() {
  switch (random(6)) {
    case 0:
      return one(kept.memories)?.buffer ?? new ArrayBuffer(8);
    case 1:
      return one(kept.ioctls)?.argument ?? new ArrayBuffer(0);
    case 2:
      return new SharedArrayBuffer(random(200));
    case 3: {
      const detached = new ArrayBuffer(64);
      structuredClone(detached, { transfer: [detached] });
      return detached;
    }
    default:
      return new ArrayBuffer(random(5000));
  }
}
const views = [Uint8Array, Int16Array, Uint32Array, Float64Array, BigInt64Array, DataView, Uint8ClampedArray];
if (typeof Float16Array !== "undefined") views.push(Float16Array);
function view() {
  const memory = buffer();
  const View = one(views);
  const size = View.BYTES_PER_ELEMENT ?? 1;
  const room = Math.floor(memory.byteLength / size);
  if (room === 0) return new Uint8Array(memory);
  const first = random(room);
  return new View(memory, first * size, random(room - first + 1));
}
const bytes = () => often(view, wrong);
const array = (element, most) =>
  often(() => {
    const list = Array.from({ length: random(most) }, element);
    const victim = random(16) === 0 && list.find((entry) => ArrayBuffer.isView(entry));
    if (victim && list.length > 0) {
      Object.defineProperty(list, list.length - 1, {
        get() {
          try {
            structuredClone(victim.buffer, { transfer: [victim.buffer] });
          } catch {}
          return victim;
        },
      });
    }
    return list;
  }, wrong);

const mapFlags = [1, 2, 0x21, 0x22, 0x21, 0x22, 0x4022, 0x40022, 0x10, 0x100032, 3, 0x23, 0x80021];
const mapOptions = () =>
  often(
    () => ({
      fd: often(() => -1, fd),
      length: often(
        () => page * (1 + random(8)),
        () => one([page + 1, 0, 2 ** 21, 2 ** 46, wrong()]),
      ),
      flags: often(() => one(mapFlags), wrong),
      ...(random(4) === 0 ? { prot: number(8) } : {}),
      ...(random(4) === 0 ? { offset: often(() => BigInt(page * random(4)), wrong) } : {}),
      ...(random(4) === 0 ? { alignment: often(() => page << random(10), wrong) } : {}),
      ...(random(4) === 0 ? { alignmentOffset: often(() => page * random(4), wrong) } : {}),
      ...(random(8) === 0
        ? {
            advice: often(
              () => random(26),
              () => one([100, 101, 102, wrong()]),
            ),
          }
        : {}),
    }),
    wrong,
  );

function file(size) {
  const created = native.memfdCreate("random", random(4));
  native.ftruncate(created, size);
  keepFd(created);
  return created;
}
const eventfd = () => keepFd(native.eventfd(random(3), 0x800));
const offset = () =>
  often(
    () => random(2 * page) & ~7,
    () => one([random(9 * page), wrong()]),
  );
const value32 = () => often(() => random(2 ** 32) - 2 ** 31, wrong);
const value64 = () => often(() => BigInt(random(2 ** 32)) << 20n, wrong);

/** Of the addon, by name; each makes one call. Weights are repetitions. */
const io = (access) => () => kept.ios.length > 0 && access(one(kept.ios));
const actions = {
  open: () => keepFd(native.open(path(), often(() => one([0, 1, 2, 0x42, 0x80000]), wrong), number(0o1000))),
  close: () => {
    const closed = fd();
    kept.fds = kept.fds.filter((open) => open !== closed);
    native.close(closed);
  },
  dup: () => keepFd(native.dup(fd())),
  pread: () => native.pread(fd(), bytes(), often(() => random(3 * page), wrong)),
  pwrite: () => native.pwrite(fd(), bytes(), often(() => random(3 * page), wrong)),
  read: () => native.read(fd(), bytes()),
  write: () => native.write(fd(), bytes()),
  ftruncate: () => native.ftruncate(fd(), often(() => random(8) * page, wrong)),
  fcntl: () => {
    const command = one([1, 3, 5, 6, 12, 36, 1030, 1032, 1033, 1034, 1036, 9999, wrong()]);
    const result = native.fcntl(fd(), command, often(() => random(16), wrong));
    if (command === 0 || command === 1030) keepFd(result); // F_DUPFD, F_DUPFD_CLOEXEC
  },
  memfdCreate: () => (random(2) === 0 ? file(page * random(9)) : keepFd(native.memfdCreate(path(), number(8)))),
  eventfd: () => (random(2) === 0 ? eventfd() : keepFd(native.eventfd(wrong(), 0x800))),
  ioctl: () => {
    const request = often(() => one([0x541b, 0x8912]), wrong);
    const links = random(3) === 0 ? Array.from({ length: random(10) }, (_, i) => (i % 2 ? bytes() : number(64))) : [];
    native.ioctl(fd(), request, often(bytes, () => one([undefined, random(4096), wrong()])), ...links);
  },
  bindIoctl: () => keep("ioctls", native.bindIoctl(fd(), often(() => 0x541b, wrong), often(() => 8 * random(100), wrong))),
  boundCall: () => one(kept.ioctls)?.call(),
  boundClose: () => one(kept.ioctls)?.close(),
  mapMemory: () => keep("memories", native.mapMemory(mapOptions()), ({ unmap }) => random(2) && unmap()),
  mapMemoryOfFile: () => {
    const size = page * (1 + random(4));
    keep("memories", native.mapMemory({ fd: file(size), flags: 1, length: size }));
  },
  touchMemory: () => {
    const memory = one(kept.memories);
    if (memory === undefined || memory.buffer.byteLength > 2 ** 22) return;
    const words = new Uint8Array(memory.buffer);
    words[random(words.length)] = 1;
    return words[random(words.length)];
  },
  unmapMemory: () => one(kept.memories)?.unmap(),
  mapIo: () => keep("ios", native.mapIo(mapOptions()), (mapped) => random(2) && mapped.unmap()),
  mapIoOfFile: () => keep("ios", native.mapIo({ fd: file(page * random(3)), flags: 1, length: 2 * page })),
  read8: io((mapped) => mapped.read8(offset())),
  read16: io((mapped) => mapped.read16(offset())),
  read32: io((mapped) => mapped.read32(offset())),
  read64: io((mapped) => mapped.read64(offset())),
  write8: io((mapped) => mapped.write8(offset(), number(256))),
  write16: io((mapped) => mapped.write16(offset(), number(65536))),
  write32: io((mapped) => mapped.write32(offset(), value32())),
  write64: io((mapped) => mapped.write64(offset(), value64())),
  store64Bytes: io((mapped) => mapped.store64Bytes(offset(), bytes(), often(() => random(64), wrong))),
  unmapIo: () => random(8) === 0 && one(kept.ios)?.unmap(),
  pageSize: () => native.pageSize(wrong()),
  cpuFeatures: () => native.cpuFeatures(wrong()),
  pollBlocking: () => native.pollBlocking(fd(), number(32768), often(() => 0, () => one([1, -1, 60_001, NaN, {}]))),
  createPoller: () => {
    const pollers = kept.pollers;
    if (pollers.length < POLLER_DESCRIPTORS) keep("pollers", native.createPoller(fd()));
  },
  pollerStart: () => {
    const poller = one(kept.pollers);
    const again = () => random(2) === 0 && poller.start(1, 1, true, () => poller.close());
    poller?.start(often(() => one([1, 2, 4, 0x2000, 5]), wrong), often(() => random(3), wrong), often(() => true, wrong), often(() => again, wrong));
  },
  pollerTake: () => {
    const poller = one(kept.pollers);
    const again = () => random(2) === 0 && poller.take(1, true, () => poller.close(), () => {});
    poller?.take(often(() => random(3), wrong), often(() => true, wrong), often(() => again, wrong), often(() => again, wrong));
  },
  pollerWaiting: () => one(kept.pollers)?.waiting(),
  pollerStop: () => one(kept.pollers)?.stop(),
  pollerClose: () => one(kept.pollers)?.close(),
  socketpair: () => {
    for (const end of native.socketpair()) {
      native.fcntl(end, 4, 0x800);
      keepFd(end);
    }
  },
  unixListen: () => keepFd(native.unixListen(path(), number(4))),
  unixAccept: () => {
    const accepted = native.unixAccept(fd(), often(() => 0, () => one([1, -1, 60_001, NaN, {}])));
    if (accepted >= 0) native.fcntl(accepted, 4, 0x800);
    keepFd(accepted);
  },
  unixConnect: () => {
    const connected = native.unixConnect(path());
    if (connected >= 0) native.fcntl(connected, 4, 0x800);
    keepFd(connected);
  },
  sendMessage: () => native.sendMessage(fd(), array(bytes, 18), array(fd, 5), often(() => 0, () => one([1, -1, 60_001]))),
  receiveMessage: () => {
    const message = native.receiveMessage(fd(), bytes(), number(260), often(() => random(3), wrong), often(() => 0, () => 1), often(() => true, wrong));
    message.fds.forEach(keepFd);
  },
  bindSocket: () => {
    const fds = new Int32Array(2 + random(10));
    const bound = native.bindSocket(fd(), bytes(), bytes(), often(() => fds, () => one([wrong(), new Int32Array(1)])));
    keep("sockets", { fds, ...bound });
  },
  boundSend: () => one(kept.sockets)?.send(number(300), often(() => 0, wrong)),
  boundReceive: () => {
    const socket = one(kept.sockets);
    if (socket === undefined) return;
    socket.fds.fill(0);
    socket.receive(number(100), number(100), number(3), often(() => 0, wrong));
    socket.fds.subarray(2, 2 + socket.fds[0]).forEach((received) => keepFd(received));
  },
  // Never of a file that could be a kernel: the descriptors are this program's own.
  kexecFileLoad: () => native.kexecFileLoad(often(fd, wrong), often(() => "console=ttyS0", wrong)),
  gettid: () => native.gettid(wrong()),
  failNth: () => native.failNth(number(4), often(() => native.gettid, wrong), wrong()),
  getAffinity: () => native.getAffinity(often(() => 0, () => one([2 ** 30, -1, {}]))),
  setAffinity: () => native.setAffinity(one([2 ** 30, -1, {}, 1.5]), array(() => number(20000), 20)),
  interruptThread: () => native.interruptThread(often(() => native.gettid(), () => one([2 ** 30, 0, -1, {}]))),
  getResourceLimit: () => native.getResourceLimit(number(20)),
  setResourceLimit: () => native.setResourceLimit(one([99, 1000, -1, {}, 2 ** 31]), number(100), one([Infinity, 5, wrong()])),
}; // prettier-ignore

/** Ends the machine's kernel where somebody has loaded another. */
const UNCALLED = ["kexec"];
const exported = Object.keys(native).filter((name) => !(name in actions) && !UNCALLED.includes(name));
if (exported.length > 0) throw new Error(`no random calls of ${exported.join(", ")}`);

const openFds = () =>
  readdirSync("/proc/self/fd").flatMap((open) => {
    try {
      return [`${open} ${readlinkSync(`/proc/self/fd/${open}`)}`];
    } catch {
      return [];
    }
  });
const names = Object.keys(actions);
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function run() {
  for (let i = 0; i < 8; i++) eventfd();
  const began = performance.now();
  let thrown = 0;
  for (let done = 0; done < calls; done++) {
    const name = one(names);
    try {
      actions[name]();
    } catch (error) {
      thrown++;
      // The addon's message names the argument. An error of the engine or of this program does not.
      if (!/^\w+: /.test(error.message) && !/is not iterable|detached/.test(error.message)) {
        throw new Error(`${name}, call ${done} of seed ${seed}`, { cause: error });
      }
    }
    if (done % CALLS_PER_TURN === 0) await turn();
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(`seed ${seed}: ${thrown} refused, ${Math.round(calls / seconds)} a second`);
}

async function endsClean(before) {
  for (const poller of kept.pollers) poller.close();
  for (const open of new Set(kept.fds)) native.close(open);
  for (const list of Object.values(kept)) list.length = 0;
  for (let i = 0; i < 10; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const left = openFds().filter((open) => !before.includes(open));
  if (left.length > 0) throw new Error(`seed ${seed}: descriptors left open: ${left.join(", ")}`);
}

console.log(`${calls} calls`); // stdout is open from here on
const before = openFds();
run()
  .then(() => endsClean(before))
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  })
  .finally(() => rmSync(directory, { recursive: true, force: true }));
